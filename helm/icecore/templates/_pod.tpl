{{/* The lists of the broker's container and pod, and what the readers of the replay fleet share with it. */}}

{{- define "icecore.environment" -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: NODE_IP
  valueFrom:
    fieldRef: {fieldPath: status.hostIP}
- name: ICECORE_CONFIG
  value: /etc/icecore/icecore.toml
- name: ICECORE_LISTEN
  value: {{ include "icecore.listen" . | quote }}
- name: ICECORE_ADVERTISE
  value: {{ include "icecore.advertise" . | quote }}
- name: ICECORE_HTTP
  value: {{ printf "%s:%d" .Values.listenHost (int .Values.http.port) | quote }}
# For commands by `kubectl exec`.
- name: ICECORE_BROKER
  value: {{ printf "localhost:%d" (int .Values.service.port) | quote }}
{{- include "icecore.environment.shared" (dict "root" . "secret" .Values.store.secret.name) }}
{{- end }}

{{/* Variables of broker and readers, with the Secret that each has for the store. */}}
{{- define "icecore.environment.shared" -}}
{{- $secret := .secret }}
{{- with .root }}
{{- with .Values.logFilter }}
- name: ICECORE_LOG
  value: {{ . | quote }}
{{- end }}
{{- with .Values.store }}
{{- if hasPrefix "hdfs://" .url }}
- name: HADOOP_USER_NAME
  value: {{ .hadoopUser | quote }}
{{- end }}
{{- if .hadoopConfigMap }}
- name: HADOOP_CONF_DIR
  value: /etc/hadoop
{{- end }}
{{- range $variable, $key := .secret.env }}
- name: {{ $variable | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret | quote }}
      key: {{ $key | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/* A Secret whose keys are variables as they are: the broker's, or that of the readers. */}}
{{- define "icecore.environmentFrom" -}}
{{- $name := .secret }}
{{- with .root.Values.store.secret }}
{{- if and $name (not .env) (not .mountPath) -}}
envFrom:
  - secretRef:
      name: {{ $name | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "icecore.mounts" -}}
- name: config
  mountPath: /etc/icecore
  readOnly: true
- name: data
  mountPath: /var/lib/icecore
{{- if .Values.store.url }}
- name: cache
  mountPath: /var/cache/icecore
{{- end }}
{{- include "icecore.mounts.shared" . }}
{{- end }}

{{- define "icecore.mounts.shared" -}}
{{- with .Values.store.secret.mountPath }}
- name: store-secret
  mountPath: {{ . | quote }}
  readOnly: true
{{- end }}
{{- if .Values.store.hadoopConfigMap }}
- name: hadoop
  mountPath: /etc/hadoop
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "icecore.volumes" -}}
- name: config
  configMap:
    name: {{ include "icecore.fullname" . }}
- name: data
  persistentVolumeClaim:
    claimName: data-{{ include "icecore.fullname" . }}-0
{{- if .Values.store.url }}
- name: cache
  persistentVolumeClaim:
    claimName: cache-{{ include "icecore.fullname" . }}-0
{{- end }}
{{- include "icecore.volumes.shared" (dict "root" . "secret" .Values.store.secret.name) }}
{{- end }}

{{- define "icecore.volumes.shared" -}}
{{- $secret := .secret }}
{{- with .root }}
{{- if .Values.store.secret.mountPath }}
- name: store-secret
  secret:
    secretName: {{ $secret | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.store.hadoopConfigMap }}
- name: hadoop
  configMap:
    name: {{ . | quote }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
