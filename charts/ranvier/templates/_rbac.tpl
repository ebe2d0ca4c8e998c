{{/*
Rights in the namespaces that are served: a ClusterRole, or with `watchNamespaces` a Role in each.
Takes (dict "root" $ "component" "operator" "name" … "serviceAccount" … "rules" …).
*/}}
{{- define "ranvier.servedNamespaces" -}}
{{- if .root.Values.watchNamespaces }}
{{- range .root.Values.watchNamespaces }}
{{- include "ranvier.role" (merge (dict "kind" "Role" "namespace" .) $) }}
{{- end }}
{{- else }}
{{- include "ranvier.role" (merge (dict "kind" "ClusterRole" "namespace" "") .) }}
{{- end }}
{{- end }}

{{/* A role and its binding; takes also "kind" and "namespace". */}}
{{- define "ranvier.role" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "ranvier.labels" . | nindent 4 }}
rules:
{{ .rules | trim }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "ranvier.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
- kind: ServiceAccount
  name: {{ .serviceAccount }}
  namespace: {{ .root.Release.Namespace }}
{{- end }}
