{{/*
Whether the Secrets are there: a pod waits for one without end, and helm then tells of nothing but time. Only where
helm asks a cluster: `helm template` knows of no Secret, and takes any.
*/}}

{{- define "icecore.checks.secrets" -}}
{{- if .Values.checkFirst }}
{{- with .Values.store.secret }}
{{- $keys := values (default dict .env) | sortAlpha }}
{{- include "icecore.checks.secret" (dict "root" $ "value" "store.secret.name" "name" .name "keys" $keys) }}
{{- if $.Values.replayFleet.enabled }}
{{- $name := $.Values.replayFleet.secretName }}
{{- include "icecore.checks.secret" (dict "root" $ "value" "replayFleet.secretName" "name" $name "keys" $keys) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "icecore.checks.secret" -}}
{{- $namespace := .root.Release.Namespace }}
{{- if .name }}
{{- $secret := lookup "v1" "Secret" $namespace .name }}
{{- /* A list has items wherever there is a cluster. helm keeps its releases in Secrets, so that it may list them. */}}
{{- if and (not $secret) (hasKey (lookup "v1" "Secret" $namespace "") "items") }}
{{- fail (printf "%s is %s, and no Secret of that name is in the namespace %s: make it first%s" .value .name $namespace (empty .keys | ternary "" (printf ", with the keys %s" (join ", " .keys)))) }}
{{- end }}
{{- $root := . }}
{{- range $key := .keys }}
{{- if and $secret (not (hasKey (default dict $secret.data) $key)) }}
{{- fail (printf "%s is %s, and that Secret has no key %s, only: %s" $root.value $root.name $key (keys (default dict $secret.data) | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
