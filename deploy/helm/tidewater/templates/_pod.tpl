{{- /* The template of the pods, the same for both databases. */ -}}
{{- define "tidewater.pod" -}}
{{- $embedded := eq .Values.mode "embedded" -}}
metadata:
  labels:
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "tidewater.podLabels" . | nindent 4 }}
  annotations:
    checksum/settings: {{ .Values.settings | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "tidewater.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- /* The server needs up to 25 seconds after both times; 5 more are for the node. */}}
  terminationGracePeriodSeconds: {{ add (int .Values.drainSeconds) (int .Values.shutdownGraceSeconds) 30 }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  containers:
    - name: tidewater
      image: {{ include "tidewater.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/tidewater/tidewater.toml]
      env:
        - name: TIDEWATER_LISTEN
          value: 0.0.0.0:8181
        - name: TIDEWATER_DATA_DIR
          value: /data/catalog
        - name: TIDEWATER_LOG__FORMAT
          value: {{ .Values.logFormat }}
        - name: TIDEWATER_API__DRAIN_S
          value: {{ .Values.drainSeconds | int | quote }}
        - name: TIDEWATER_API__SHUTDOWN_GRACE_S
          value: {{ .Values.shutdownGraceSeconds | int | quote }}
        {{- if .Values.metrics.enabled }}
        - name: TIDEWATER_TELEMETRY__LISTEN
          value: 0.0.0.0:{{ .Values.metrics.port | int }}
        {{- end }}
        {{- if .Values.masterKeySecret.name }}
        - name: TIDEWATER_STORAGE__MASTER_KEY_FILE
          value: /etc/tidewater/master-key/master.key
        {{- end }}
        {{- if .Values.tls.secret.name }}
        - name: TIDEWATER_TLS__CERTIFICATE_FILE
          value: /etc/tidewater/tls/tls.crt
        - name: TIDEWATER_TLS__KEY_FILE
          value: /etc/tidewater/tls/tls.key
        - name: TIDEWATER_TLS__CLIENT_AUTH
          value: {{ .Values.tls.clientAuth }}
        {{- if ne .Values.tls.clientAuth "none" }}
        - name: TIDEWATER_TLS__CLIENT_CA_FILE
          value: /etc/tidewater/tls-clients/ca.crt
        {{- end }}
        {{- end }}
        {{- if not $embedded }}
        - name: TIDEWATER_STORE__URL
          valueFrom:
            secretKeyRef:
              name: {{ .Values.postgresql.urlSecret.name }}
              key: {{ .Values.postgresql.urlSecret.key }}
        {{- if .Values.postgresql.passwordSecret.name }}
        - name: TIDEWATER_STORE__PASSWORD_FILE
          value: /etc/tidewater/postgresql/password
        {{- end }}
        - name: TIDEWATER_STORE__CONNECTIONS
          value: {{ .Values.postgresql.connections | int | quote }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: {{ include "tidewater.scheme" . }}
          containerPort: 8181
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: {{ .Values.metrics.port | int }}
        {{- end }}
      {{- /* A starting server waits up to a minute for PostgreSQL, and migrates the database. */}}
      startupProbe:
        httpGet:
          path: /health
          {{- include "tidewater.probePort" . | nindent 10 }}
        periodSeconds: 2
        failureThreshold: 90
      livenessProbe:
        httpGet:
          path: /health
          {{- include "tidewater.probePort" . | nindent 10 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      {{- /* /ready answers within 4 seconds. */}}
      readinessProbe:
        httpGet:
          path: /ready
          {{- include "tidewater.probePort" . | nindent 10 }}
        periodSeconds: 3
        timeoutSeconds: 5
        failureThreshold: 2
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: tmp
          mountPath: /tmp
        - name: settings
          mountPath: /etc/tidewater/tidewater.toml
          subPath: tidewater.toml
          readOnly: true
        {{- if .Values.masterKeySecret.name }}
        - name: master-key
          mountPath: /etc/tidewater/master-key
          readOnly: true
        {{- end }}
        {{- if .Values.tls.secret.name }}
        - name: tls
          mountPath: /etc/tidewater/tls
          readOnly: true
        {{- if ne .Values.tls.clientAuth "none" }}
        - name: tls-clients
          mountPath: /etc/tidewater/tls-clients
          readOnly: true
        {{- end }}
        {{- end }}
        {{- if and (not $embedded) .Values.postgresql.passwordSecret.name }}
        - name: postgresql
          mountPath: /etc/tidewater/postgresql
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- if not $embedded }}
    - name: data
      emptyDir: {}
    {{- end }}
    - name: tmp
      emptyDir: {}
    - name: settings
      configMap:
        name: {{ include "tidewater.fullname" . }}
    {{- if .Values.masterKeySecret.name }}
    - name: master-key
      secret:
        secretName: {{ .Values.masterKeySecret.name }}
        defaultMode: 0440
        items:
          - key: {{ .Values.masterKeySecret.key }}
            path: master.key
    {{- end }}
    {{- if .Values.tls.secret.name }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.secret.name }}
        defaultMode: 0440
        items:
          - key: {{ .Values.tls.secret.certificateKey }}
            path: tls.crt
          - key: {{ .Values.tls.secret.privateKeyKey }}
            path: tls.key
    {{- if ne .Values.tls.clientAuth "none" }}
    - name: tls-clients
      secret:
        secretName: {{ .Values.tls.clientCaSecret.name }}
        defaultMode: 0440
        items:
          - key: {{ .Values.tls.clientCaSecret.key }}
            path: ca.crt
    {{- end }}
    {{- end }}
    {{- if and (not $embedded) .Values.postgresql.passwordSecret.name }}
    - name: postgresql
      secret:
        secretName: {{ .Values.postgresql.passwordSecret.name }}
        defaultMode: 0440
        items:
          - key: {{ .Values.postgresql.passwordSecret.key }}
            path: password
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if not $embedded }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tidewater.podLabels" . | nindent 10 }}
    {{- end }}
  {{- end }}
{{- end -}}
