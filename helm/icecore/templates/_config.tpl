{{/*
icecore.toml, topics.toml and policies.toml. A text, a number and a truth of YAML are written as JSON has them, which
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
{{ include "icecore.config.store" . }}
{{- end }}
{{- end }}

{{- define "icecore.config.store" }}
[stores.main]
url = {{ .Values.store.url | toJson }}
{{- range $name, $value := .Values.store.options }}
{{ $name | toJson }} = {{ $value | toJson }}
{{- end }}
{{- end }}

{{/* icecore.toml of the readers of the replay fleet. */}}
{{- define "icecore.replay.config" -}}
data-dir = "/var/lib/icecore/data"
store = "main"
read-only = true

[settings]
{{- $settings := dict "cache.bytes" .Values.replayFleet.cache.bytes "cache.dir" "/var/lib/icecore/cache" }}
{{- $_ := set $settings "tiering.follow.interval.ms" .Values.replayFleet.followInterval }}
{{- /* At the first install they start beside the broker, before its first word is in the store. */}}
{{- $_ := set $settings "tiering.follow.start.wait.ms" "5m" }}
{{- range list .Values.settings .Values.replayFleet.settings }}
{{- range $name, $value := . }}{{ $_ := set $settings $name $value }}{{ end }}
{{- end }}
{{- range $name, $value := $settings }}
{{ $name | toJson }} = {{ $value | toJson }}
{{- end }}
{{ include "icecore.config.store" . }}
{{- end }}

{{- define "icecore.topics" -}}
{{- range $name, $topic := .Values.topics }}
{{- /* What is set to null is none. */}}
{{- if kindIs "map" $topic }}
[topics.{{ $name | toJson }}]
{{- with $topic.partitions }}
partitions = {{ . | toJson }}
{{- end }}
[topics.{{ $name | toJson }}.settings]
{{- range $setting, $value := $topic.settings }}
{{- if not (kindIs "invalid" $value) }}
{{ $setting | toJson }} = {{ $value | toJson }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}

{{- define "icecore.policies" -}}
{{- range $name, $policy := .Values.policies }}
{{- if kindIs "map" $policy }}
[[policy]]
name = {{ $name | toJson }}
topics = {{ $policy.topics | toJson }}
priority = {{ $policy.priority | default 0 | int64 }}
[policy.settings]
{{- range $setting, $value := $policy.settings }}
{{- if not (kindIs "invalid" $value) }}
{{ $setting | toJson }} = {{ $value | toJson }}
{{- end }}
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
