{{/* The lists of a reader's container and pod. */}}

{{/* The Secret by which readers come to the store. */}}
{{- define "icecore.replay.secret" -}}
{{ default .Values.store.secret.name .Values.replayFleet.secretName }}
{{- end }}

{{- define "icecore.replay.environment" -}}
- name: POD_IP
  valueFrom:
    fieldRef: {fieldPath: status.podIP}
- name: ICECORE_CONFIG
  value: /etc/icecore/icecore.toml
- name: ICECORE_LISTEN
  value: {{ printf "%s:%d" .Values.listenHost (int .Values.replayFleet.service.port) | quote }}
# Each tells clients of itself alone: whoever came to one by the Service stays with it.
- name: ICECORE_ADVERTISE
  value: {{ printf "$(POD_IP):%d" (int .Values.replayFleet.service.port) | quote }}
- name: ICECORE_HTTP
  value: {{ printf "%s:%d" .Values.listenHost (int .Values.http.port) | quote }}
# For commands by `kubectl exec`.
- name: ICECORE_BROKER
  value: {{ printf "localhost:%d" (int .Values.replayFleet.service.port) | quote }}
{{- include "icecore.environment.shared" (dict "root" . "secret" (include "icecore.replay.secret" .)) }}
{{- end }}

{{- define "icecore.replay.mounts" -}}
- name: config
  mountPath: /etc/icecore
  readOnly: true
- name: data
  mountPath: /var/lib/icecore
{{- include "icecore.mounts.shared" . }}
{{- end }}

{{- define "icecore.replay.volumes" -}}
- name: config
  configMap:
    name: {{ include "icecore.replay" . }}
- name: data
  {{- with .Values.replayFleet.cache }}
  {{- if eq .volume "claim" }}
  ephemeral:
    volumeClaimTemplate:
      metadata:
        labels: {{- include "icecore.replay.selector" $ | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .storageClass }}
        storageClassName: {{ . | quote }}
        {{- end }}
        resources:
          requests:
            storage: {{ .size | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .size | quote }}
  {{- end }}
  {{- end }}
{{- include "icecore.volumes.shared" (dict "root" . "secret" (include "icecore.replay.secret" .)) }}
{{- end }}
