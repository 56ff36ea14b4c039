{{- define "tidewater.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidewater.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "tidewater.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tidewater.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidewater.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tidewater.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidewater.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "tidewater.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* The labels of the server's pods, which `helm test` must not have. */ -}}
{{- define "tidewater.podLabels" -}}
{{ include "tidewater.selectorLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "tidewater.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidewater.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tidewater.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* The name of the workload, as kubectl takes it. */ -}}
{{- define "tidewater.workload" -}}
{{- printf "%s/%s" (ternary "statefulset" "deployment" (eq .Values.mode "embedded")) (include "tidewater.fullname" .) -}}
{{- end -}}

{{- /* The scheme of the catalog's port, which is also the port's name. */ -}}
{{- define "tidewater.scheme" -}}
{{- ternary "https" "http" (not (empty .Values.tls.secret.name)) -}}
{{- end -}}

{{- /* The port and scheme of a probe. Nodes have no certificate: where clients need one, the port with the metrics answers. */ -}}
{{- define "tidewater.probePort" -}}
{{- if and .Values.tls.secret.name (eq .Values.tls.clientAuth "required") -}}
port: metrics
{{- else -}}
port: {{ include "tidewater.scheme" . }}
scheme: {{ include "tidewater.scheme" . | upper }}
{{- end -}}
{{- end -}}
