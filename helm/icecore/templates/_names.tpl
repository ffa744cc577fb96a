{{/* Names and labels. */}}

{{- define "icecore.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "icecore.fullname" -}}
{{- $name := include "icecore.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{ default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The headless Service: the names of pods stand below it. */}}
{{- define "icecore.brokers" -}}
{{ include "icecore.fullname" . }}-brokers
{{- end }}

{{- define "icecore.serviceAccount" -}}
{{ default (.Values.serviceAccount.create | ternary (include "icecore.fullname" .) "default") .Values.serviceAccount.name }}
{{- end }}

{{- define "icecore.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "icecore.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

{{/* What tells the pods of this release from all others; it never changes. */}}
{{- define "icecore.selector" -}}
app.kubernetes.io/name: {{ include "icecore.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: broker
{{- end }}

{{- define "icecore.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "icecore.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where clients inside begin. */}}
{{- define "icecore.bootstrap" -}}
{{ include "icecore.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end }}
