{{/* What the service and the hooks share: dict "root" $ "name" "..." "suffix" "" "args" (list ...) */}}
{{- define "attribution-bridge.environment" -}}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "attribution-bridge.mounts" -}}
- {name: config, mountPath: /etc/attribution-bridge, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if include "attribution-bridge.secretName" . }}
- {name: secrets, mountPath: /run/secrets/attribution-bridge, readOnly: true}
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "attribution-bridge.volumes" -}}
- name: config
  configMap: {name: {{ include "attribution-bridge.fullname" .root }}{{ .suffix }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if include "attribution-bridge.secretName" . }}
- name: secrets
  secret: {secretName: {{ .secret | default (include "attribution-bridge.secretName" .) }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where and as whom: the same for the service and for the hooks. */}}
{{- define "attribution-bridge.placement" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with concat (.Values.global.imagePullSecrets | default list) .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The pods of the service, for both shapes. */}}
{{- define "attribution-bridge.pods" -}}
{{- $here := dict "root" . "suffix" "" }}
metadata:
  labels:
    {{- include "attribution-bridge.labelsWith" (dict "root" . "more" .Values.podLabels) | nindent 4 }}
  annotations:
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- with .Values.secret.create }}
    checksum/secret: {{ toYaml . | sha256sum }}
    {{- end }}
    {{- with .Values.secret.version }}
    attribution-bridge/secret-version: {{ . | quote }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "attribution-bridge.serviceAccountName" . }}
  {{- include "attribution-bridge.placement" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "attribution-bridge.gracePeriod" . }}
  {{- if .Values.topologySpreadConstraints }}
  {{- $ours := dict "labelSelector" (dict "matchLabels" (include "attribution-bridge.selectorLabels" . | fromYaml)) }}
  topologySpreadConstraints:
    {{- range .Values.topologySpreadConstraints }}
    - {{- toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $ours)) | nindent 6 }}
    {{- end }}
  {{- else if and .Values.topologySpread (eq (include "attribution-bridge.kind" .) "postgres") }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "attribution-bridge.selectorLabels" . | nindent 10 }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: bridge
      image: {{ include "attribution-bridge.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run, --config, /etc/attribution-bridge/bridge.yaml]
      {{- if eq (include "attribution-bridge.kind" .) "sqlite" }}
      workingDir: /var/lib/attribution-bridge
      {{- end }}
      {{- include "attribution-bridge.environment" . | nindent 6 }}
      ports:
        - {name: door, containerPort: {{ include "attribution-bridge.doorPort" . }}}
        - {name: private, containerPort: {{ include "attribution-bridge.privatePort" . }}}
      startupProbe:
        httpGet: {path: /healthz, port: private}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /healthz, port: private}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: private}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      {{- if .Values.preStopSeconds }}
      lifecycle:
        preStop:
          exec: {command: [python, -c, "import time; time.sleep({{ .Values.preStopSeconds }})"]}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "attribution-bridge.mounts" $here | nindent 8 }}
        {{- if eq (include "attribution-bridge.kind" .) "sqlite" }}
        - {name: journal, mountPath: /var/lib/attribution-bridge}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "attribution-bridge.volumes" $here | nindent 4 }}
    {{- if and (eq (include "attribution-bridge.kind" .) "sqlite") .Values.persistence.existingClaim }}
    - name: journal
      persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim }}}
    {{- end }}
{{- end }}

{{/* A Job that runs one command with the new image, configuration and secrets: dict root name weight args secret. */}}
{{- define "attribution-bridge.hook" -}}
{{- $root := .root }}
{{- $here := dict "root" $root "suffix" "-hook" "secret" .secret }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "attribution-bridge.fullname" $root }}-{{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "attribution-bridge.labels" $root | nindent 4 }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    helm.sh/hook-output-log-policy: hook-failed
    {{- with $root.Values.hooks.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  backoffLimit: {{ .retries }}
  activeDeadlineSeconds: {{ $root.Values.hooks.deadlineSeconds }}
  ttlSecondsAfterFinished: {{ $root.Values.hooks.keepSeconds }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ include "attribution-bridge.name" $root }}-hook
        app.kubernetes.io/instance: {{ $root.Release.Name }}
    spec:
      restartPolicy: Never
      {{- with include "attribution-bridge.hookAccount" $root }}
      serviceAccountName: {{ . }}
      {{- end }}
      {{- include "attribution-bridge.placement" $root | nindent 6 }}
      containers:
        - name: {{ .name }}
          image: {{ include "attribution-bridge.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{ toJson .args }}
          {{- include "attribution-bridge.environment" $root | nindent 10 }}
          resources:
            {{- toYaml ($root.Values.hooks.resources | default $root.Values.resources) | nindent 12 }}
          securityContext:
            {{- toYaml $root.Values.securityContext | nindent 12 }}
          volumeMounts:
            {{- include "attribution-bridge.mounts" $here | nindent 12 }}
      volumes:
        {{- include "attribution-bridge.volumes" $here | nindent 8 }}
{{- end }}
