// Generated from package protocol by `go generate ./protocol`. Do not edit.

export type Ailment = "silent" | "no_media" | "left";
export type Code = "already_enrolled" | "bad_invitation" | "bad_link" | "bad_offer" | "bad_request" | "browser_too_old" | "certificate_untrusted" | "connection_lost" | "control_failed" | "device_denied" | "device_missing" | "enrolment_refused" | "forbidden" | "gateway_failed" | "insecure_page" | "internal" | "media_failed" | "meeting_ended" | "meeting_not_found" | "method_not_allowed" | "mmr_unavailable" | "no_zone" | "not_found" | "not_host" | "pac_failed" | "proxy_auth_failed" | "proxy_auth_required" | "proxy_refused" | "proxy_settings_invalid" | "proxy_unreachable" | "rate_limited" | "recording_failed" | "removed" | "server_silent" | "session_unknown" | "source_unreadable" | "token_expired" | "token_invalid" | "too_large" | "tunnel_full" | "tunnel_refused" | "unauthorized" | "view_only" | "web_unreachable" | "wrong_passcode" | "zone_full" | "zones_unreachable";
export type EventKind = "appeared" | "silent" | "returned" | "stopped" | "draining" | "healthy" | "full" | "room";
export type FarewellReason = "left" | "removed" | "ended" | "lost" | "resumed" | "moved" | "audience";
export type Health = "healthy" | "draining" | "waiting" | "stopping" | "silent";
export type HostVerb = "mute" | "mute_all" | "lower_hand" | "remove" | "end" | "promote" | "demote";
export type Language = "en" | "zh-TW";
export type MediaKind = "audio" | "video" | "content";
export type MeetingKind = "meeting" | "webinar";
export type PathState = "connecting" | "ok" | "silent" | "lost";
export type PhaseName = "lookup" | "zone" | "mmr" | "media";
export type ResumeReason = "dead" | "drain" | "media";
export type Role = "host" | "participant" | "attendee";
export type ServerKind = "web" | "controller" | "mmr" | "tunnel";
export type SlotID = string;
export type Source = "mic" | "camera" | "camera_scalable" | "screen" | "screen_audio";
export type Transport = "udp" | "tcp" | "tls";
export type ZoneStatus = "open" | "full" | "draining" | "empty";

export const maxChat = 4000;
export const audioSlots = 3;

/** What a client sends on the control channel. */
export type FromClient =
  | ({ type: "hello" } & Hello)
  | ({ type: "soon" } & Soon)
  | ({ type: "enter" } & Enter)
  | ({ type: "set_state" } & SetState)
  | ({ type: "send_chat" } & SendChat)
  | ({ type: "want" } & Want)
  | ({ type: "restart" } & Restart)
  | ({ type: "host" } & HostAction)
  | ({ type: "leave" } & Leave)
  | ({ type: "ping" } & Ping);

/** What a router sends on the control channel. */
export type FromRouter =
  | ({ type: "standby" } & Standby)
  | ({ type: "welcome" } & Welcome)
  | ({ type: "roster" } & Roster)
  | ({ type: "audience" } & Audience)
  | ({ type: "slots" } & Slots)
  | ({ type: "sync" } & Sync)
  | ({ type: "speakers" } & Speakers)
  | ({ type: "chat" } & Chat)
  | ({ type: "layers" } & Layers)
  | ({ type: "muted" } & Muted)
  | ({ type: "move" } & Move)
  | ({ type: "farewell" } & Farewell)
  | ({ type: "refusal" } & Refusal)
  | ({ type: "pong" } & Pong);

export interface Attempt {
  target: string;
  transport: string;
  via: string;
  dns_ms?: number;
  connect_ms: number;
  tls_ms: number;
  rtt_ms: number;
  rtt_min_ms?: number;
  jitter_ms: number;
  score_ms?: number;
  ok: boolean;
  error?: string;
  untrusted?: boolean;
  zone?: string;
  media?: string;
}

export interface Audience {
  attendees: number;
}

export interface Chat {
  id: string;
  from: string;
  name: string;
  text: string;
  at: string;
  panel?: boolean;
}

export interface ClientInfo {
  kind?: string;
  version?: string;
  os?: string;
}

export interface Controller {
  id: string;
  url: string;
}

export interface CreateMeeting {
  topic?: string;
  passcode?: string;
  scheduled_at?: string;
  kind?: MeetingKind;
}

export interface Credentials {
  kind: MediaKind;
  ufrag: string;
  pwd: string;
}

export interface DrainServer {
  kind: ServerKind;
  zone?: string;
  id: string;
  deadline_ms?: number;
  cancel?: boolean;
}

export interface DrainState {
  draining: boolean;
  deadline_ms: number;
  left: number;
}

export interface Enter {
  token: string;
}

export interface Event {
  id: number;
  at: string;
  event: EventKind;
  kind: ServerKind;
  server: string;
  zone?: string;
}

export interface EventList {
  events: Event[];
  missed?: boolean;
}

export interface Farewell {
  reason: FarewellReason;
  by?: string;
}

export interface Hello {
  session: string;
  token: string;
}

export interface HostAction {
  action: HostVerb;
  participant?: string;
}

export interface Identity {
  id: string;
  name: string;
  role: Role;
}

export interface JoinAnswer {
  zone: string;
  controller: string;
  mmr: string;
  session: string;
  admitted?: number;
  standby?: boolean;
  control_url: string;
  answers: Offers;
  media_tcp?: string[];
  media_tls?: string;
  turn?: TURNServer[];
}

export interface JoinRequest {
  token?: string;
  offers: Offers;
  client?: ClientInfo;
  resume?: Resume;
  standby?: boolean;
}

export interface Layers {
  source: Source;
  active: boolean[];
}

export interface Left {
  id: string;
  reason: FarewellReason;
}

export interface LegOverview {
  zone: string;
  mmr: string;
  participants: number;
}

export interface Load {
  cpu: number;
  packets_per_s: number;
  egress_bps: number;
  participants: number;
  open_files?: number;
  max_cpu?: number;
  max_open_files?: number;
  max_packets: number;
  max_egress_bps: number;
  max_participants: number;
}

export interface LookupRequest {
  passcode?: string;
  invitation?: string;
  name: string;
  token?: string;
  client?: ClientInfo;
}

export interface MediaReport {
  transport: Transport;
  remote: string;
  dscp: number;
  first_packet_ms: number;
  packets_sent: number;
  packets_received: number;
  packets_lost: number;
}

export interface Meeting {
  id: string;
  number: string;
  topic: string;
  passcode: string;
  join_url: string;
  host_url: string;
  kind: MeetingKind;
  panel_url?: string;
  scheduled_at?: string;
  created_at: string;
  ended_at?: string;
}

export interface MeetingInfo {
  id: string;
  number: string;
  topic: string;
  scheduled_at?: string;
  kind?: MeetingKind;
}

export interface MeetingOverview {
  id: string;
  number?: string;
  topic?: string;
  participants: number;
  legs: LegOverview[];
}

export interface Move {
  deadline_ms: number;
  reason: ResumeReason;
}

export interface Muted {
  by: string;
}

export interface Offers {
  audio?: string;
  video?: string;
  content?: string;
}

export interface Package {
  meeting: MeetingInfo;
  participant: Identity;
  token: string;
  token_expires_at: string;
  zones: Zone[];
  tunnels: Tunnel[];
  gateway?: string;
  web_client: string;
  seen: Seen;
}

export interface Participant {
  id: string;
  name: string;
  role: Role;
  joined_at: string;
  client_kind?: string;
  audio_muted: boolean;
  video_muted: boolean;
  sharing: boolean;
  hand_raised_at?: string;
  path: PathState;
}

export interface PhaseReport {
  name: PhaseName;
  started_ms: number;
  duration_ms: number;
  ok: boolean;
  error?: Problem;
  attempts: Attempt[];
}

export interface Ping {
  n: number;
}

export interface Pong {
  n: number;
  now_ms: number;
}

export interface ProbeAnswer {
  zone: string;
  controller: string;
  state: ZoneStatus;
  load: number;
  weight: number;
}

export interface Problem {
  type?: string;
  title: string;
  status?: number;
  detail?: string;
  code: Code;
  cause: string;
  remedy: string;
}

export interface ProblemEntry {
  status: number;
  words: Partial<Record<Language, Words>>;
}

export interface ProxyReport {
  kind: string;
  address?: string;
  origin?: string;
}

export interface Refusal {
  problem: Problem;
  fatal?: boolean;
}

export interface Report {
  ok: boolean;
  meeting: string;
  participant: string;
  route: string;
  proxy: ProxyReport;
  zone: string;
  controller: string;
  mmr: string;
  first_media_ms: number;
  phases: PhaseReport[];
  media: Partial<Record<MediaKind, MediaReport>>;
  events: ReportEvent[];
}

export interface ReportEvent {
  at_ms: number;
  what: string;
}

export interface Restart {
  connections: Credentials[];
}

export interface Resume {
  session: string;
  zone?: string;
  mmr: string;
  reason: ResumeReason;
  admitted?: number;
  joined_at?: string;
  hand_raised_at?: string;
}

export interface Roster {
  changed?: Participant[];
  left?: Left[];
}

export interface Seen {
  address: string;
  forwarded?: string[];
}

export interface SendChat {
  text: string;
}

export interface ServerOverview {
  kind: ServerKind;
  id: string;
  zone?: string;
  address: string;
  health: Health;
  load_value: number;
  load: Load;
  participants: number;
  version: string;
  heard_ms: number;
  ailment?: Ailment;
  drain?: DrainState;
}

export interface SetState {
  audio_muted?: boolean;
  video_muted?: boolean;
  sharing?: boolean;
  hand_raised?: boolean;
}

export interface SiteConfig {
  creation: string;
  version: string;
}

export interface SlotState {
  slot: SlotID;
  participant?: string;
  source?: Source;
}

export interface SlotSync {
  slot: SlotID;
  rtp: number;
  clock_rate: number;
  at_ms: number;
  repair_ms?: number;
}

export interface SlotWant {
  slot: SlotID;
  participant: string;
  max_height: number;
}

export interface Slots {
  slots: SlotState[];
}

export interface Speaker {
  participant: string;
  level: number;
}

export interface Speakers {
  speakers: Speaker[];
}

export interface Standby {
  for_ms: number;
}

export interface Sync {
  now_ms: number;
  slots: SlotSync[];
}

export interface SystemStatus {
  at: string;
  participants: number;
  zones: ZoneOverview[];
  tunnels: ServerOverview[];
  webs: ServerOverview[];
  meetings: MeetingOverview[];
  meeting_count: number;
}

export interface TURNServer {
  urls: string[];
  username: string;
  credential: string;
}

export interface Tunnel {
  id: string;
  url: string;
}

export interface Want {
  slots: SlotWant[];
}

export interface Welcome {
  meeting: MeetingInfo;
  participant: string;
  admitted?: number;
  participants: Participant[];
  parts?: number;
  attendees?: number;
  slots: SlotState[];
  chat: Chat[];
  now_ms: number;
}

export interface Words {
  title: string;
  cause: string;
  remedy: string;
}

export interface Zone {
  id: string;
  name: string;
  on_premises?: boolean;
  own?: boolean;
  weight: number;
  load: number;
  distance_km: number;
  controllers: Controller[];
}

export interface ZoneOverview {
  id: string;
  name: string;
  state: ZoneStatus;
  on_premises: boolean;
  located: boolean;
  lat: number;
  lon: number;
  load: number;
  participants: number;
  controllers: ServerOverview[];
  mmrs: ServerOverview[];
}

export type Leave = Record<never, never>;

export type Soon = Record<never, never>;
