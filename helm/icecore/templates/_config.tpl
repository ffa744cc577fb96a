{{/*
icecore.toml and topics.toml. A text, a number and a truth of YAML are written as JSON has them, which
TOML reads the same.
*/}}

{{- define "icecore.config" -}}
# Folders below the volumes: what a file system keeps at its root is not the broker's.
data-dir = "/var/lib/icecore/data"
{{- if .Values.store.url }}
store = "main"
{{- end }}

[settings]
{{- if .Values.store.url }}
"cache.bytes" = {{ .Values.cache.bytes | toJson }}
"cache.dir" = "/var/cache/icecore/cache"
"tiering.on.empty.disk" = {{ .Values.store.onEmptyDisk | toJson }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name | toJson }} = {{ $value | toJson }}
{{- end }}
{{- if .Values.store.url }}

[stores.main]
url = {{ .Values.store.url | toJson }}
{{- range $name, $value := .Values.store.options }}
{{ $name | toJson }} = {{ $value | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{- define "icecore.topics" -}}
{{- range $name, $topic := .Values.topics }}
{{- /* One that is set to null is none. */}}
{{- if kindIs "map" $topic }}
[topics.{{ $name | toJson }}]
{{- with $topic.partitions }}
partitions = {{ . | toJson }}
{{- end }}
[topics.{{ $name | toJson }}.settings]
{{- range $setting, $value := $topic.settings }}
{{ $setting | toJson }} = {{ $value | toJson }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}

{{/* What each listener listens on, and what it tells clients. */}}
{{- define "icecore.listen" -}}
INTERNAL://{{ .Values.listenHost }}:{{ .Values.service.port }}
{{- if .Values.external.enabled }},EXTERNAL://{{ .Values.listenHost }}:{{ .Values.external.port }}{{ end -}}
{{- end }}

{{- define "icecore.advertise" -}}
INTERNAL://$(POD_NAME).{{ include "icecore.brokers" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:{{ .Values.service.port }}
{{- with .Values.external }}
{{- if .enabled }}
{{- $broker := first .brokers }}
{{- $port := (eq .type "NodePort") | ternary $broker.nodePort .port }},EXTERNAL://{{ default "$(NODE_IP)" $broker.host }}:{{ default $port $broker.port }}
{{- end }}
{{- end }}
{{- end }}
