{{/* Alerts of this release. Every metric is one that the broker has; those of volumes are the kubelet's. */}}

{{- define "icecore.alerts" -}}
{{- $of := printf "namespace=%q, service=%q" .Release.Namespace (include "icecore.brokers" .) }}
{{- $volume := printf "namespace=%q, persistentvolumeclaim=\"data-%s-0\"" .Release.Namespace (include "icecore.fullname" .) }}
{{- $rule := .Values.metrics.prometheusRule }}
- alert: IcecoreDown
  expr: up{ {{- $of -}} } == 0
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: The broker does not answer Prometheus.
    description: See whether its pod runs, and what /readyz says that it waits for.
- alert: IcecoreNotReady
  expr: icecore_ready{ {{- $of -}} } == 0
  for: 15m
  labels: {severity: critical}
  annotations:
    summary: The broker runs, and has served nobody for a quarter of an hour.
    description: /readyz says what it waits for, or how far it is.
- alert: IcecoreStoreIsAway
  expr: icecore_store_is_left_alone{ {{- $of -}} } == 1
  for: 10m
  labels: {severity: critical}
  annotations:
    summary: The object store has failed for ten minutes.
    description: Producers are acked and what is local is served, but nothing is uploaded and the disk fills. /readyz tells the store's last error.
- alert: IcecoreStoreRefuses
  expr: increase(icecore_store_failures_total{ {{- $of }}, kind=~"denied|refused|wrong_bytes"}[15m]) > 0
  labels: {severity: warning}
  annotations:
    summary: The object store refuses calls or sends wrong bytes ({{ "{{ $labels.kind }}" }}).
    description: Look at the credentials and the rights of the bucket; the log names the object.
- alert: IcecoreUploadsLag
  expr: kafka_server_brokertopicmetrics_remotecopylagbytes{ {{- $of -}} } > {{ int64 $rule.uploadLagBytes }}
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: "{{ "{{ $value | humanize1024 }}" }}B wait for upload."
    description: A lost disk would lose them. Uploads are slower than producers, or fail.
- alert: IcecoreUploadsAreLate
  expr: icecore_upload_lag_seconds{ {{- $of -}} } > {{ int64 $rule.uploadLagSeconds }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: "A sealed segment has waited {{ "{{ $value | humanizeDuration }}" }} for its upload."
    description: A lost disk would lose it. /readyz tells what fails; uploads may also be slower than producers.
- alert: IcecoreUploadsFail
  expr: icecore_tiering_failing_partitions{ {{- $of -}} } > 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: "Uploads or remote deletions of {{ "{{ $value }}" }} partitions have failed for a quarter of an hour."
    description: /readyz names one of them and why. Local copies stay until they are uploaded.
- alert: IcecoreRemoteReadsFail
  expr: increase(kafka_server_brokertopicmetrics_remotefetcherrors_total{ {{- $of -}} }[15m]) > 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: Reads of the object store fail.
    description: Consumers of what is not local get errors. The log names the object.
- alert: IcecoreMetadataIsOld
  expr: icecore_meta_age_seconds{ {{- $of -}} } > 900
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: The bucket has had no new metadata for a quarter of an hour.
    description: A restore would lose topics, settings and committed offsets since then.
- alert: IcecoreRefusesConnections
  expr: increase(icecore_connections_refused_total{ {{- $of -}} }[15m]) > 0
  labels: {severity: warning}
  annotations:
    summary: Connections are refused, max.connections are open.
    description: Raise the setting, or find the client that opens so many.
- alert: IcecorePartitionsOffline
  expr: kafka_server_replicamanager_offlinereplicacount{ {{- $of -}} } > 0
  labels: {severity: critical}
  annotations:
    summary: "{{ "{{ $value }}" }} partitions take no more records, their disk failed."
    description: What was acked is on it. Look after the volume, then restart the pod.
- alert: IcecoreRefusesAcksAll
  expr: kafka_server_replicamanager_underminisrpartitioncount{ {{- $of -}} } > 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: "{{ "{{ $value }}" }} partitions refuse acks=all."
    description: Their topics ask for more replicas in min.insync.replicas than there are brokers.
- alert: IcecoreHistoryIsMissing
  expr: increase(icecore_missing_segments_total{ {{- $of -}} }[1h]) > 0
  labels: {severity: critical}
  annotations:
    summary: Objects of segments are gone from the store, and there is no local copy.
    description: Somebody deleted them. The log names them; icecore tier fsck tells what else is missing.
- alert: IcecoreOrphansStay
  expr: increase(icecore_store_object_delete_failures_total{ {{- $of -}} }[1h]) > 0
  for: 1h
  labels: {severity: warning}
  annotations:
    summary: Objects in the store that nobody needs any more cannot be deleted.
    description: They cost money and are tried again. May the credentials delete, and does the bucket hold objects back?
- alert: IcecoreLeavesOrphans
  expr: increase(icecore_garbage_found_total{ {{- $of -}} }[6h]) > 100
  labels: {severity: warning}
  annotations:
    summary: "{{ "{{ $value | humanize }}" }} objects without an owner were found in the store within six hours."
    description: They are removed. Only uploads that are broken off leave them, so see why the broker restarts or its uploads fail.
- alert: IcecoreDiskIsFull
  expr: icecore_disk_full_state{ {{- $of -}} } > 0
  for: 1m
  labels: {severity: critical}
  annotations:
    summary: Producers are refused, the data volume is short of room.
    description: They go on by themselves when there is room. Raise data.size, keep less local, or see why nothing is uploaded.
- alert: IcecoreVolumeFillsUp
  expr: kubelet_volume_stats_available_bytes{ {{- $volume -}} } / kubelet_volume_stats_capacity_bytes{ {{- $volume -}} } < {{ $rule.volumeFreeRatio }}
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: Only {{ "{{ $value | humanizePercentage }}" }} of the data volume is free.
    description: With a full volume producers get errors. Raise data.size, or keep less local (log.local.retention.bytes).
{{- end }}
