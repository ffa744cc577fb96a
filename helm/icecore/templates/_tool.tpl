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
{{- end }}
