{{/* What values.schema.json cannot say: values that are right alone and wrong together. */}}

{{- define "icecore.checks" -}}
{{- if gt (int .Values.replicas) 1 }}
{{- fail (printf "replicas is %d, and several brokers are no cluster yet: each would be one of its own. Set replicas to 1; for more clients give the broker more processors" (int .Values.replicas)) }}
{{- end }}
{{- $ports := list (int .Values.service.port) (int .Values.http.port) }}
{{- if .Values.external.enabled }}
{{- $ports = append $ports (int .Values.external.port) }}
{{- end }}
{{- if ne (len $ports) (len (uniq $ports)) }}
{{- fail (printf "service.port, http.port and external.port are %s: give each a port of its own" (join ", " $ports)) }}
{{- end }}
{{- include "icecore.checks.store" . }}
{{- include "icecore.checks.external" . }}
{{- include "icecore.checks.settings" . }}
{{- include "icecore.checks.replay" . }}
{{- end }}

{{- define "icecore.checks.store" -}}
{{- with .Values.store }}
{{- if not .url }}
{{- if or .options .secret.name .secret.env .secret.mountPath .hadoopConfigMap }}
{{- fail "store.url is empty, so that segments go to a folder in the data volume, but other values of store are set: set store.url" }}
{{- end }}
{{- else if hasPrefix "memory://" .url }}
{{- fail "store.url is memory://, which loses everything with the process: take s3://, hdfs://, gs:// or az://" }}
{{- else if hasPrefix "file://" .url }}
{{- fail "store.url is file://, a folder of the container: leave store.url empty for a folder in the data volume" }}
{{- end }}
{{- if and (or .secret.env .secret.mountPath) (not .secret.name) }}
{{- fail "store.secret.env or store.secret.mountPath is set, but no Secret: set store.secret.name" }}
{{- end }}
{{- range $name, $value := .options }}
{{- if and (regexMatch "(?i)(secret|password|token$|access_key$|account_key|sas_key)" $name) (not (hasPrefix "${env:" (toString $value))) }}
{{- fail (printf "store.options.%s is a secret, which anybody who reads the ConfigMap would see: write \"${env:NAME}\", and give the variable NAME by store.secret" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.store.url }}
{{- $bytes := include "icecore.bytes" .Values.cache.bytes | int64 }}
{{- $size := include "icecore.bytes" .Values.cache.size | int64 }}
{{- if ge $bytes $size }}
{{- fail (printf "cache.bytes is %s, and its volume of cache.size %s has no room for that: raise cache.size" .Values.cache.bytes .Values.cache.size) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "icecore.checks.external" -}}
{{- with .Values.external }}
{{- if .enabled }}
{{- if ne (len .brokers) 1 }}
{{- fail (printf "external.brokers has %d entries: give one for each broker, and there is 1" (len .brokers)) }}
{{- end }}
{{- $broker := first .brokers }}
{{- if and (eq .type "NodePort") (not $broker.nodePort) }}
{{- fail "external.type is NodePort, but external.brokers[0].nodePort is not set: clients are told this port, so it has to be known before (30000 to 32767 as a rule)" }}
{{- end }}
{{- if and (ne .type "NodePort") (not $broker.host) }}
{{- fail (printf "external.type is %s, but external.brokers[0].host is not set: it is the name or address that clients are told" .type) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "icecore.checks.settings" -}}
{{- $instead := dict "cache.bytes" "cache.bytes" "cache.dir" "cache.size" "tiering.on.empty.disk" "store.onEmptyDisk" }}
{{- range $name, $value := $instead }}
{{- if hasKey $.Values.settings $name }}
{{- fail (printf "settings has %s, which the chart sets itself: use the value %s" $name $value) }}
{{- end }}
{{- end }}
{{- range $name, $policy := .Values.policies }}
{{- if and (kindIs "map" $policy) (not (and $policy.topics $policy.settings)) }}
{{- fail (printf "policies.%s needs topics, a list of names and patterns, and settings: a policy without them does nothing" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "icecore.checks.replay" -}}
{{- with .Values.replayFleet }}
{{- if .enabled }}
{{- if not $.Values.store.url }}
{{- fail "replayFleet.enabled is true, but store.url is empty: readers serve what is in an object store, and a folder in the broker's volume is none that they reach" }}
{{- end }}
{{- if eq (int .service.port) (int $.Values.http.port) }}
{{- fail (printf "replayFleet.service.port and http.port are both %d: give each a port of its own" (int .service.port)) }}
{{- end }}
{{- $bytes := include "icecore.bytes" .cache.bytes | int64 }}
{{- if ge $bytes (include "icecore.bytes" .cache.size | int64) }}
{{- fail (printf "replayFleet.cache.bytes is %s, and its volume of replayFleet.cache.size %s has no room for that and what else a reader keeps: raise replayFleet.cache.size" .cache.bytes .cache.size) }}
{{- end }}
{{- if and .cache.storageClass (ne .cache.volume "claim") }}
{{- fail "replayFleet.cache.storageClass is set, but replayFleet.cache.volume is emptyDir: set it to claim" }}
{{- end }}
{{- $instead := dict "cache.bytes" "replayFleet.cache.bytes" "cache.dir" "replayFleet.cache.size" "tiering.follow.interval.ms" "replayFleet.followInterval" }}
{{- range $name, $value := $instead }}
{{- if hasKey $.Values.replayFleet.settings $name }}
{{- fail (printf "replayFleet.settings has %s, which the chart sets itself: use the value %s" $name $value) }}
{{- end }}
{{- end }}
{{- with .autoscaler }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail (printf "replayFleet.autoscaler.minReplicas is %d, more than maxReplicas %d" (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- if and .enabled (not .cpu) (not .metrics) }}
{{- fail "replayFleet.autoscaler.enabled is true, but it has nothing to go by: set replayFleet.autoscaler.cpu or metrics" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A size of Kubernetes (10Gi) or of icecore (8GiB) in bytes. */}}
{{- define "icecore.bytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- $power := index (dict "K" 1 "M" 2 "G" 3 "T" 4) (regexFind "[KMGT]" .) | default 0 | int }}
{{- range until $power }}{{ $number = mul $number 1024 }}{{ end }}
{{- $number }}
{{- end }}
