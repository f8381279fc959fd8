{{- define "causeway.webFile" -}}
{{- $root := . -}}
{{ include "causeway.common" (dict "root" . "kind" "web") }}
bus:
  cluster:
    {{- range $i := until (int .Values.web.replicas) }}
    - {{ printf "%s-web-%d.%s-web-each:8443" $root.Release.Name $i $root.Release.Name }}
    {{- end }}
web:
  id: ""
  public_url: {{ .Values.web.publicURL | quote }}
  creation: {{ .Values.web.creation }}
tunnel:
  drain: {{ sub (int .Values.drainSeconds) 10 }}s
{{- end -}}

{{- define "causeway.zoneFile" -}}
{{- $root := .root -}}
{{ include "causeway.common" (dict "root" $root "kind" "zone") }}
data: /var/lib/causeway/identity
bus:
  hubs: {{ include "causeway.hubs" $root }}
  {{- $others := list }}
  {{- $own := .server.name }}
  {{- range .zone.controllers }}
  {{- if ne .name $own }}
  {{- $others = append $others (printf "%s:443" (include "causeway.name" (dict "release" $root.Release.Name "name" .name))) }}
  {{- end }}
  {{- end }}
  {{- with $others }}
  cluster: {{ toJson . }}
  {{- end }}
zone:
  id: {{ .server.name }}
  zone: {{ .zone.id }}
  name: {{ .zone.name | quote }}
  url: {{ .server.url | quote }}
  {{- with .zone.location }}
  location: {lat: {{ .lat }}, lon: {{ .lon }}}
  {{- end }}
  on_premises: {{ .zone.onPremises | default false }}
  {{- with .zone.networks }}
  networks: {{ toJson . }}
  {{- end }}
  drain: {{ sub (int $root.Values.drainSeconds) 10 }}s
{{- end -}}

{{- define "causeway.mmrFile" -}}
{{- $root := .root -}}
{{ include "causeway.common" (dict "root" $root "kind" "mmr" "port" 443 "admin" 9103) }}
data: /var/lib/causeway/identity
bus:
  {{- $controllers := list }}
  {{- range .zone.controllers }}
  {{- $controllers = append $controllers (printf "%s:443" (include "causeway.name" (dict "release" $root.Release.Name "name" .name))) }}
  {{- end }}
  controllers: {{ toJson $controllers }}
mmr:
  id: {{ .server.name }}
  zone: {{ .zone.id }}
  control_url: {{ .server.controlURL | quote }}
  on_premises: {{ .zone.onPremises | default false }}
  {{- with .server.publicAddresses }}
  public_addresses: {{ toJson . }}
  {{- end }}
  drain: {{ sub (int $root.Values.drainSeconds) 10 }}s
{{- end -}}

{{- define "causeway.tunnelFile" -}}
{{- $root := .root -}}
{{ include "causeway.common" (dict "root" $root "kind" "tunnel") }}
data: /var/lib/causeway/identity
bus:
  hubs: {{ include "causeway.hubs" $root }}
tunnel:
  id: {{ .server.name }}
  url: {{ .server.url | quote }}
  drain: {{ sub (int $root.Values.drainSeconds) 10 }}s
{{- end -}}
