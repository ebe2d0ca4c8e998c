{{/* Names. The component's objects are called <fullname>-operator and <fullname>-apiserver. */}}
{{- define "ranvier.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 42: a StatefulSet's name ends up in a label (63), after "-apiserver" and before a hash. */}}
{{- define "ranvier.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 42 | trimSuffix "-" }}
{{- else }}
{{- $name := include "ranvier.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 42 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 42 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ranvier.operator" -}}{{ include "ranvier.fullname" . }}-operator{{- end }}
{{- define "ranvier.apiserver" -}}{{ include "ranvier.fullname" . }}-apiserver{{- end }}
{{- define "ranvier.journalClaim" -}}
{{- .Values.apiserver.persistence.existingClaim | default (printf "%s-journal" (include "ranvier.fullname" .)) }}
{{- end }}
{{- define "ranvier.apiKeySecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-api-key" (include "ranvier.fullname" .)) }}
{{- end }}

{{- define "ranvier.operatorServiceAccount" -}}
{{- with .Values.operator.serviceAccount }}
{{- .name | default (ternary (include "ranvier.operator" $) "default" .create) }}
{{- end }}
{{- end }}
{{- define "ranvier.apiserverServiceAccount" -}}
{{- with .Values.apiserver.serviceAccount }}
{{- .name | default (ternary (include "ranvier.apiserver" $) "default" .create) }}
{{- end }}
{{- end }}

{{/* How everything in the cluster reaches the API server. */}}
{{- define "ranvier.apiUrl" -}}
http://{{ include "ranvier.apiserver" . }}.{{ .Release.Namespace }}.svc:{{ .Values.apiserver.service.port }}
{{- end }}

{{- define "ranvier.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Where the REST API makes devboxes: among the namespaces that are served. */}}
{{- define "ranvier.devboxNamespace" -}}
{{- $watched := .Values.watchNamespaces }}
{{- $chosen := .Values.devboxes.namespace | default (first $watched) | default "default" }}
{{- if and $watched (not (has $chosen $watched)) }}
{{- fail (printf "devboxes.namespace %q is not one of watchNamespaces: add it there, or name one of them" $chosen) }}
{{- end }}
{{- $chosen -}}
{{- end }}

{{/* Labels. Takes (dict "root" $ "component" "operator"); the selector's are fixed for ever. */}}
{{- define "ranvier.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ranvier.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "ranvier.labels" -}}
{{ include "ranvier.selectorLabels" . }}
app.kubernetes.io/part-of: ranvier
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* PodSecurity `restricted`, and nothing writable but what is mounted. */}}
{{- define "ranvier.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "ranvier.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What a pod template's metadata and scheduling have in common. */}}
{{- define "ranvier.podMetadata" -}}
labels:
  {{- include "ranvier.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "ranvier.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
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
{{- end }}
