{{/* A name that leaves room for a suffix. Two long names that begin alike stay two names. */}}
{{- define "attribution-bridge.cut" -}}
{{- if gt (len .) 50 }}
{{- printf "%s-%s" (trunc 41 . | trimSuffix "-") (sha256sum . | trunc 8) }}
{{- else }}
{{- . | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "attribution-bridge.name" -}}
{{- include "attribution-bridge.cut" (default .Chart.Name .Values.nameOverride) }}
{{- end }}

{{- define "attribution-bridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- include "attribution-bridge.cut" .Values.fullnameOverride }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- include "attribution-bridge.cut" (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) }}
{{- end }}
{{- end }}

{{- define "attribution-bridge.selectorLabels" -}}
app.kubernetes.io/name: {{ include "attribution-bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "attribution-bridge.labels" -}}
{{- include "attribution-bridge.labelsWith" (dict "root" . "more" dict) }}
{{- end }}

{{/* Each label once: the standard ones win, then those of one object (more), then commonLabels. */}}
{{- define "attribution-bridge.labelsWith" -}}
{{- $own := include "attribution-bridge.selectorLabels" .root | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- $_ = set $own "app.kubernetes.io/version" (.root.Values.image.tag | default .root.Chart.AppVersion | toString) }}
{{- $_ = set $own "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- toYaml (merge $own (.more | default dict) (.root.Values.commonLabels | default dict)) }}
{{- end }}

{{- define "attribution-bridge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "attribution-bridge.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Hooks run before the chart's own account is there: they get one that exists already, or none. */}}
{{- define "attribution-bridge.hookAccount" -}}
{{- .Values.hooks.serviceAccountName | default (ternary "" .Values.serviceAccount.name .Values.serviceAccount.create) }}
{{- end }}

{{/* The pod of `helm test`, as networkPolicy lets it in. */}}
{{- define "attribution-bridge.fromTest" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "attribution-bridge.name" . }}-test
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "attribution-bridge.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry }}
{{- $repository := join "/" (compact (list $registry .Values.image.repository)) }}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The journal's kind; the shape of everything hangs on it. */}}
{{- define "attribution-bridge.kind" -}}
{{- (.Values.config.journal).kind | default "sqlite" }}
{{- end }}

{{/* The Secret whose keys are the files that the configuration names; a hook brings its own copy of a made one. */}}
{{- define "attribution-bridge.secretName" -}}
{{- if .root.Values.secret.existingSecret }}
{{- .root.Values.secret.existingSecret }}
{{- else if .root.Values.secret.create }}
{{- printf "%s%s" (include "attribution-bridge.fullname" .root) .suffix }}
{{- end }}
{{- end }}

{{/* Whole seconds of a duration as the bridge writes it, rounded up. */}}
{{- define "attribution-bridge.seconds" -}}
{{- $number := regexFind "^[0-9]+" (toString .) | int }}
{{- $unit := regexFind "[a-z]+$" (toString .) }}
{{- if eq $unit "ms" }}{{ add1 (div $number 1000) }}
{{- else }}{{ mul $number (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) }}
{{- end }}
{{- end }}

{{/* From the pod leaving the service to its last moment: preStop, the door's answers, the bridge's own grace, closing. */}}
{{- define "attribution-bridge.gracePeriod" -}}
{{- $grace := include "attribution-bridge.seconds" ((.Values.config.delivery).grace | default "25s") | int }}
{{- add .Values.preStopSeconds $grace 10 }}
{{- end }}

{{- define "attribution-bridge.doorPort" -}}
{{- (.Values.config.door).port | default 8080 }}
{{- end }}

{{- define "attribution-bridge.privatePort" -}}
{{- (.Values.config.private).port | default 9090 }}
{{- end }}

{{/* What contradicts itself is said in a sentence, also where the schema was not looked at. */}}
{{- define "attribution-bridge.refuse" -}}
{{- $kind := include "attribution-bridge.kind" . }}
{{- $path := (.Values.config.journal).path | default "var/journal.db" }}
{{- if not .Values.config.sources }}
{{- fail "config.sources is empty: say where orders come from, see values.yaml" }}
{{- end }}
{{- if not .Values.config.destinations }}
{{- fail "config.destinations is empty: say where events go, see values.yaml" }}
{{- end }}
{{- if not .Values.image.repository }}
{{- fail "image.repository is empty: build the image, push it where the cluster can pull it, and name it, see docs/kubernetes.md" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs is empty: name the gateway" }}
{{- end }}
{{- if and .Values.secret.existingSecret .Values.secret.create }}
{{- fail "secret.existingSecret and secret.create exclude each other" }}
{{- end }}
{{- if has ((.Values.config.private).host | default "127.0.0.1") (list "127.0.0.1" "localhost" "::1") }}
{{- fail "config.private.host is this pod alone: probes and Prometheus could not reach it; write 0.0.0.0" }}
{{- end }}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled }}
{{- fail "autoscaling and keda would both set the number of replicas: enable one of them" }}
{{- end }}
{{- if and .Values.keda.enabled (not .Values.keda.triggers) }}
{{- fail "keda.triggers is empty: say what to scale on" }}
{{- end }}
{{- if not (get .Values.podSecurityContext "sysctls") }}
{{- range $section, $port := dict "door" (include "attribution-bridge.doorPort" .) "private" (include "attribution-bridge.privatePort" .) }}
{{- if lt (int $port) 1024 }}
{{- fail (printf "config.%s.port %s is below 1024, where only root may listen: leave it out, and choose the port that clients see with service.port" $section $port) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "attribution-bridge.refuseOtherJournal" (dict "root" . "kind" $kind) }}
{{- range $name, $source := .Values.config.sources }}
{{- if and (eq $kind "postgres") $source.instance (not (hasPrefix "env:" (toString $source.instance))) }}
{{- fail (printf "config.sources.%s.instance is the same for every pod, and they would take the topics from each other: write env:HOSTNAME, which is the pod's name, or leave it out" $name) }}
{{- end }}
{{- end }}
{{- if eq $kind "sqlite" }}
{{- if gt (int .Values.replicaCount) 1 }}
{{- fail "replicaCount above 1 needs config.journal.kind: postgres: with SQLite each pod would have a journal of its own, and the same order would be sent by each" }}
{{- end }}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled }}
{{- fail "autoscaling needs config.journal.kind: postgres: a SQLite journal has one owner" }}
{{- end }}
{{- if or (hasPrefix ".." $path) (and (isAbs $path) (not (hasPrefix "/var/lib/attribution-bridge/" $path))) }}
{{- fail (printf "config.journal.path %s is not on the volume: leave it out, or what was answered with 200 would be gone with the pod" $path) }}
{{- end }}
{{- range .Values.extraVolumeMounts }}
{{- if hasPrefix "/var/lib/attribution-bridge" .mountPath }}
{{- fail "extraVolumeMounts may not cover /var/lib/attribution-bridge: on an emptyDir every order that waits would be lost with the pod, on nfs SQLite's locks do not hold; use persistence" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Orders that were answered with 200 stay in the journal of the other kind, and nobody sends them: dict root kind. */}}
{{- define "attribution-bridge.refuseOtherJournal" -}}
{{- $name := include "attribution-bridge.fullname" .root }}
{{- $other := ternary "Deployment" "StatefulSet" (eq .kind "sqlite") }}
{{- $was := ternary "postgres" "sqlite" (eq .kind "sqlite") }}
{{- if not .root.Values.journalMoved }}
{{- if or (and .root.Values.journalKind (ne .root.Values.journalKind .kind)) (lookup "apps/v1" $other .root.Release.Namespace $name) }}
{{- fail (printf "config.journal.kind is %s, but this release keeps its journal in %s: orders that were answered with 200 would stay there unsent. Move the journal first, see `From SQLite to Postgres` in docs/kubernetes.md, then set journalMoved: true for one upgrade" .kind $was) }}
{{- end }}
{{- end }}
{{- end }}
