{{/* What the pods of Jobs and tests have in common: one command of the image, and no rights. */}}

{{- define "icecore.toolPod" -}}
{{- with include "icecore.pullSecrets" . }}
{{- . }}
{{ end -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end }}

{{- define "icecore.tool" -}}
image: {{ include "icecore.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
resources:
  requests: {cpu: 10m, memory: 32Mi}
  limits: {memory: 128Mi}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* Which broker the command asks. */}}
{{- define "icecore.toolBroker" -}}
env:
  - name: ICECORE_BROKER
    value: {{ include "icecore.bootstrap" . }}
  - name: ICECORE_HTTP
    value: {{ include "icecore.brokers" . }}.{{ .Release.Namespace }}.svc:{{ .Values.http.port }}
{{- end }}

{{/*
A Job that applies a file of the values to the broker: `what` names the file and its template, `command` is
icecore's. A hook, since a Job cannot be changed: each run is a new one. Its log tells what was done and
what differs. Those with a lower `weight` come first.
*/}}
{{- define "icecore.applyJob" -}}
{{- $name := printf "%s-%s" (include "icecore.fullname" .root) .what -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  labels: {{- include "icecore.labels" .root | nindent 4 }}
data:
  {{ .what }}.toml: | {{- include (printf "icecore.%s" .what) .root | nindent 4 }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  labels: {{- include "icecore.labels" .root | nindent 4 }}
  annotations:
    helm.sh/hook: post-install,post-upgrade,post-rollback
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  backoffLimit: 3
  template:
    metadata:
      labels:
        {{- include "icecore.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .what }}
    spec:
      {{- include "icecore.toolPod" .root | nindent 6 }}
      containers:
        - name: {{ .what }}
          args: [{{ .command }}, apply, /etc/icecore/{{ .what }}.toml, --wait, {{ .root.Values.jobs.wait | quote }}]
          {{- include "icecore.tool" .root | nindent 10 }}
          {{- include "icecore.toolBroker" .root | nindent 10 }}
          volumeMounts:
            - name: {{ .what }}
              mountPath: /etc/icecore
              readOnly: true
      volumes:
        - name: {{ .what }}
          configMap:
            name: {{ $name }}
{{- end }}
