{{/* Alerts of the replay fleet. Every metric is one that a reader has. */}}

{{- define "icecore.replay.alerts" -}}
{{- $of := printf "namespace=%q, service=%q" .Release.Namespace (include "icecore.replay" .) -}}
- alert: IcecoreReaderDown
  expr: up{ {{- $of -}} } == 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: A reader of the replay fleet does not answer Prometheus.
    description: See whether its pod runs, and what /readyz says that it waits for.
- alert: IcecoreReaderNotReady
  expr: icecore_ready{ {{- $of -}} } == 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: A reader of the replay fleet runs, and has served nobody for a quarter of an hour.
    description: /readyz says what it waits for. It needs a store that it may list, with a cluster in it.
- alert: IcecoreReaderIsBehind
  expr: icecore_view_age_seconds{ {{- $of -}} } > {{ int64 .Values.metrics.prometheusRule.viewAgeSeconds }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: "A reader's view of the store is {{ "{{ $value | humanizeDuration }}" }} old."
    description: It serves what it knew then. /readyz tells what keeps it from following the store.
- alert: IcecoreReaderReadsFail
  expr: increase(kafka_server_brokertopicmetrics_remotefetcherrors_total{ {{- $of -}} }[15m]) > 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: A reader's reads of the object store fail.
    description: Its clients get errors. The log names the object.
{{- end }}
