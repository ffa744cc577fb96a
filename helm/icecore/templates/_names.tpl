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

{{/* The replay fleet. */}}
{{- define "icecore.replay" -}}
{{ include "icecore.fullname" . }}-replay
{{- end }}

{{- define "icecore.serviceAccount" -}}
{{ default (.Values.serviceAccount.create | ternary (include "icecore.fullname" .) "default") .Values.serviceAccount.name }}
{{- end }}

{{- define "icecore.replay.serviceAccount" -}}
{{- with .Values.replayFleet.serviceAccount -}}
{{ default (.create | ternary (include "icecore.replay" $) (include "icecore.serviceAccount" $)) .name }}
{{- end -}}
{{- end }}

{{- define "icecore.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "icecore.replay.image" -}}
{{- with .Values.replayFleet.image -}}
{{- if .digest }}{{ $.Values.image.repository }}@{{ .digest -}}
{{- else if .tag }}{{ $.Values.image.repository }}:{{ .tag -}}
{{- else }}{{ include "icecore.image" $ }}{{ end -}}
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

{{/* The same for the readers of the replay fleet. */}}
{{- define "icecore.replay.selector" -}}
app.kubernetes.io/name: {{ include "icecore.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: replay
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

{{- define "icecore.replay.bootstrap" -}}
{{ include "icecore.replay" . }}.{{ .Release.Namespace }}.svc:{{ .Values.replayFleet.service.port }}
{{- end }}
