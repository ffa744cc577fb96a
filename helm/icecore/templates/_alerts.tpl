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
- alert: IcecoreUploadsFail
  expr: increase(kafka_server_brokertopicmetrics_remotecopyerrors_total{ {{- $of -}} }[15m]) > 0 and increase(kafka_server_brokertopicmetrics_remotecopybytes_total{ {{- $of -}} }[15m]) == 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: No upload has succeeded for a quarter of an hour.
    description: The log tells why. Local copies stay until they are uploaded.
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
- alert: IcecoreVolumeFillsUp
  expr: kubelet_volume_stats_available_bytes{ {{- $volume -}} } / kubelet_volume_stats_capacity_bytes{ {{- $volume -}} } < {{ $rule.volumeFreeRatio }}
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: Only {{ "{{ $value | humanizePercentage }}" }} of the data volume is free.
    description: With a full volume producers get errors. Raise data.size, or keep less local (log.local.retention.bytes).
{{- end }}
