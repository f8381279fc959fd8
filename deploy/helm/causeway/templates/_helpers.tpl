{{- define "causeway.name" -}}
{{- printf "%s-%s" .release .name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "causeway.labels" -}}
app.kubernetes.io/name: causeway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
causeway/server: {{ .name }}
{{- end -}}

{{- define "causeway.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* What every server's file begins with. */}}
{{- define "causeway.common" -}}
server: {{ .kind }}
listen: ":{{ .port | default 8443 }}"
tls:
  cert: /etc/causeway/tls/tls.crt
  key: /etc/causeway/tls/tls.key
admin: ":{{ .admin | default 9100 }}"
log:
  format: {{ .root.Values.log.format }}
  level: {{ .root.Values.log.level }}
{{- end -}}

{{- define "causeway.hubs" -}}
{{- if .Values.hubs -}}
{{ toJson .Values.hubs }}
{{- else -}}
[{{ printf "%s-web:443" .Release.Name | quote }}]
{{- end -}}
{{- end -}}

{{/* One server with an identity of its own: file, set of one pod, volume. */}}
{{- define "causeway.server" -}}
{{- $root := .root -}}
{{- $name := include "causeway.name" (dict "release" $root.Release.Name "name" .name) -}}
{{- $labels := dict "root" $root "component" .kind "name" .name -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  labels: {{- include "causeway.labels" $labels | nindent 4 }}
data:
  causeway.yaml: |
    {{- .file | nindent 4 }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  labels: {{- include "causeway.labels" $labels | nindent 4 }}
spec:
  replicas: 1
  serviceName: {{ $name }}
  selector:
    matchLabels: {{- include "causeway.labels" $labels | nindent 6 }}
  template:
    metadata:
      labels: {{- include "causeway.labels" $labels | nindent 8 }}
      annotations:
        checksum/file: {{ .file | sha256sum }}
        {{- if $root.Values.metrics }}
        prometheus.io/scrape: "true"
        prometheus.io/port: {{ .admin | default 9100 | quote }}
        {{- end }}
    spec:
      terminationGracePeriodSeconds: {{ $root.Values.drainSeconds }}
      {{- if .hostNetwork }}
      hostNetwork: true
      dnsPolicy: ClusterFirstWithHostNet
      {{- end }}
      {{- with .nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: causeway
          image: {{ include "causeway.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .kind }}, --config, /etc/causeway/causeway.yaml]
          env:
            - name: CAUSEWAY_ENROLL
              valueFrom:
                secretKeyRef: {name: {{ .enrollSecret }}, key: token, optional: true}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]{{ if .hostNetwork }}, add: [NET_BIND_SERVICE]{{ end }}}
          readinessProbe:
            httpGet: {path: /readyz, port: {{ .admin | default 9100 }}}
            periodSeconds: 2
          livenessProbe:
            httpGet: {path: /healthz, port: {{ .admin | default 9100 }}}
            periodSeconds: 10
            failureThreshold: 6
          resources: {{- toYaml (.resources | default dict) | nindent 12 }}
          volumeMounts:
            - {name: file, mountPath: /etc/causeway/causeway.yaml, subPath: causeway.yaml}
            - {name: tls, mountPath: /etc/causeway/tls}
            - {name: data, mountPath: /var/lib/causeway}
      volumes:
        - name: file
          configMap: {name: {{ $name }}}
        - name: tls
          secret: {secretName: {{ $root.Values.tlsSecret }}}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $root.Values.storage.className }}
        storageClassName: {{ . }}
        {{- end }}
        resources: {requests: {storage: {{ $root.Values.storage.size }}}}
{{- end -}}

{{/* The address of one server. */}}
{{- define "causeway.service" -}}
{{- $root := .root -}}
{{- $name := include "causeway.name" (dict "release" $root.Release.Name "name" .name) -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels: {{- include "causeway.labels" (dict "root" $root "component" .kind "name" .name) | nindent 4 }}
  {{- with $root.Values.service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $root.Values.service.type }}
  # TLS ends in the server itself, which tells its users apart by ALPN.
  externalTrafficPolicy: Local
  publishNotReadyAddresses: true
  selector: {{- include "causeway.labels" (dict "root" $root "component" .kind "name" .name) | nindent 4 }}
  ports:
    - {name: tls, port: 443, targetPort: 8443}
{{- end -}}
