package check

import (
	"fmt"
	"slices"
	"strings"

	"causeway/protocol"
)

// words are what one kind of line says: text, with a %s for each of the
// line's Args, and remedy, "" where there is nothing to do.
type words struct{ text, remedy string }

// table has the words of all lines that are not problems of
// protocol.Problems, by language.
var table = map[protocol.Language]map[string]words{
	protocol.English: {
		"name.ok":            {"The name %s is %s.", ""},
		"name.literal":       {"%s is an address; no name is looked up.", ""},
		"name.proxy":         {"The proxy looks the name %s up; this device need not.", ""},
		"name.fail":          {"The name %s was not found.", "Check the address. If it is right, ask your administrator whether your DNS knows it."},
		"web.ok":             {"%s answers after %s ms.", ""},
		"certificate.ok":     {"It shows a certificate signed by %s, valid until %s.", ""},
		"certificate.opened": {"TLS is opened on the way: the certificate was signed by %s, and the server sees another connection.", "Joining works, but media may need a tunnel. Ask your administrator to exempt the hosts below from TLS inspection."},
		"clock.ok":           {"This device's clock is right (%s s off).", ""},
		"clock.warn.ahead":   {"This device's clock is %s s ahead.", "Let the system set the clock by itself. A few minutes more, and joining fails."},
		"clock.warn.behind":  {"This device's clock is %s s behind.", "Let the system set the clock by itself. A few minutes more, and joining fails."},
		"clock.fail.ahead":   {"This device's clock is %s s ahead: certificates and tickets will seem to have expired.", "Let the system set the clock by itself."},
		"clock.fail.behind":  {"This device's clock is %s s behind: certificates and tickets will seem not to be valid yet.", "Let the system set the clock by itself."},
		"proxy.none":         {"No proxy is in use.", ""},
		"proxy.ok":           {"Everything but UDP and TCP media goes by the proxy %s (found by: %s).", ""},
		"lookup.ok":          {"Meeting %s was found; zones: %s, tunnels: %s.", ""},
		"lookup.skip":        {"Zones, tunnels and media were not looked at: that takes a meeting.", "Run the check with a meeting's link."},
		"controller.ok":      {"%s answers after %s ms.", ""},
		"controller.fail":    {"%s does not answer.", "Ask your administrator to let HTTPS out to it. Until then the client goes by another zone or a tunnel."},
		"tunnel.ok":          {"%s answers after %s ms and carries streams.", ""},
		"tunnel.plain":       {"%s answers after %s ms; WebSocket does not get through, plain requests do.", "It works, with more delay. Ask your administrator to let WebSocket pass."},
		"tunnel.fail":        {"%s carries nothing.", "Needed only where zones cannot be reached. Ask your administrator to let HTTPS and WebSocket out to it."},
		"join.ok":            {"The router %s of zone %s admits us.", ""},
		"control.ok":         {"%s answers after %s ms.", ""},
		"control.fail":       {"%s does not answer.", "Ask your administrator to let HTTPS and WebSocket out to it."},
		"udp.ok":             {"%s answers after %s ms: the best way for sound and picture.", ""},
		"udp.fail":           {"%s does not answer.", "Sound and picture take TCP or TLS instead, which stutter sooner. Ask your administrator to open UDP outward to this port."},
		"tcp.ok":             {"%s answers after %s ms.", ""},
		"tcp.fail":           {"%s does not answer.", "Needed only where UDP does not work. Ask your administrator to open TCP outward to this port."},
		"tls.ok":             {"%s answers after %s ms.", ""},
		"tls.fail":           {"%s does not answer with media.", "Needed only where neither UDP nor TCP works. TLS on this port must pass as it is, without being opened on the way."},
		"untrusted":          {"%s answers, with a certificate that is not trusted.", "If the server has its own authority, pass its certificate with --ca FILE; otherwise its certificate is wrong, or TLS is opened on the way and must not be."},
		"nat.none":           {"There is no address translation on the way of UDP.", ""},
		"nat.ok":             {"Silent UDP paths stay open for %s s at least.", ""},
		"nat.between":        {"Silent UDP paths stay open for %s s, and are gone after %s s; media never is silent for so long.", ""},
		"nat.warn":           {"Silent UDP paths stay open for %s s only, and are gone after %s s.", "Media keeps them open by itself. Phones that sleep may fall out; ask your administrator for a UDP time-out of 2 minutes."},
		"nat.skip":           {"How long UDP stays open was not looked at: UDP does not work.", ""},
		"nat.unknown":        {"How long UDP stays open could not be found out.", ""},
		"all.ok":             {"Meetings work well from here.", ""},
		"all.half":           {"What can be seen without a meeting works.", ""},
		"all.stream":         {"Meetings work from here, but without UDP: sound and picture may stutter when the network is busy.", ""},
		"all.tunnel":         {"Meetings work from here, but zones are reached through a tunnel only: joining takes longer.", ""},
		"all.clock":          {"Meetings work from here, but the clock must be set.", ""},
		"all.web":            {"The system cannot be reached from here at all.", ""},
		"all.lookup":         {"The system is reached; the meeting is not.", ""},
		"all.zones":          {"No meeting can be joined from here: neither a zone nor a tunnel is reached. The browser may find a way.", ""},
		"all.join":           {"No meeting can be joined from here: no router was found.", ""},
		"all.control":        {"No meeting can be joined from here: the router is not reached.", ""},
		"all.media":          {"Meetings can be joined from here, but sound and picture have no way.", ""},
	},
	protocol.TraditionalChinese: {
		"name.ok":            {"名稱 %s 的位址為 %s。", ""},
		"name.literal":       {"%s 已是位址，不需查詢名稱。", ""},
		"name.proxy":         {"名稱 %s 由代理伺服器查詢，此裝置不需查詢。", ""},
		"name.fail":          {"找不到名稱 %s。", "請檢查網址；若無誤，請詢問管理員 DNS 是否有此名稱。"},
		"web.ok":             {"%s 於 %s 毫秒後回應。", ""},
		"certificate.ok":     {"憑證由 %s 簽發，有效期至 %s。", ""},
		"certificate.opened": {"TLS 在途中被解開：憑證由 %s 簽發，而伺服器看到的是另一條連線。", "仍可加入會議，但媒體可能需經由通道。請管理員將下列主機排除於 TLS 檢查之外。"},
		"clock.ok":           {"此裝置的時間正確（相差 %s 秒）。", ""},
		"clock.warn.ahead":   {"此裝置的時間快了 %s 秒。", "請讓系統自動校時；再差幾分鐘就無法加入會議。"},
		"clock.warn.behind":  {"此裝置的時間慢了 %s 秒。", "請讓系統自動校時；再差幾分鐘就無法加入會議。"},
		"clock.fail.ahead":   {"此裝置的時間快了 %s 秒：憑證與入場權杖會被視為已過期。", "請讓系統自動校時。"},
		"clock.fail.behind":  {"此裝置的時間慢了 %s 秒：憑證與入場權杖會被視為尚未生效。", "請讓系統自動校時。"},
		"proxy.none":         {"未使用代理伺服器。", ""},
		"proxy.ok":           {"除了 UDP 與 TCP 媒體，全部經由代理伺服器 %s（來源：%s）。", ""},
		"lookup.ok":          {"找到會議 %s；區域：%s，通道：%s。", ""},
		"lookup.skip":        {"未檢查區域、通道與媒體：這需要一場會議。", "請以會議連結執行檢查。"},
		"controller.ok":      {"%s 於 %s 毫秒後回應。", ""},
		"controller.fail":    {"%s 沒有回應。", "請管理員允許對外以 HTTPS 連往該處；在此之前用戶端會改用其他區域或通道。"},
		"tunnel.ok":          {"%s 於 %s 毫秒後回應，可承載連線。", ""},
		"tunnel.plain":       {"%s 於 %s 毫秒後回應；WebSocket 無法通過，一般請求可以。", "可以使用但延遲較高。請管理員放行 WebSocket。"},
		"tunnel.fail":        {"%s 無法承載連線。", "僅在無法連上區域時需要。請管理員允許對外以 HTTPS 與 WebSocket 連往該處。"},
		"join.ok":            {"路由器 %s（區域 %s）准許加入。", ""},
		"control.ok":         {"%s 於 %s 毫秒後回應。", ""},
		"control.fail":       {"%s 沒有回應。", "請管理員允許對外以 HTTPS 與 WebSocket 連往該處。"},
		"udp.ok":             {"%s 於 %s 毫秒後回應：這是聲音與影像的最佳路徑。", ""},
		"udp.fail":           {"%s 沒有回應。", "聲音與影像會改走 TCP 或 TLS，較容易停頓。請管理員開放對外連往此連接埠的 UDP。"},
		"tcp.ok":             {"%s 於 %s 毫秒後回應。", ""},
		"tcp.fail":           {"%s 沒有回應。", "僅在 UDP 無法使用時需要。請管理員開放對外連往此連接埠的 TCP。"},
		"tls.ok":             {"%s 於 %s 毫秒後回應。", ""},
		"tls.fail":           {"%s 沒有以媒體回應。", "僅在 UDP 與 TCP 都無法使用時需要。此連接埠的 TLS 必須原樣通過，途中不得解開。"},
		"untrusted":          {"%s 有回應，但其憑證不受信任。", "若伺服器使用自己的憑證授權單位，請以 --ca FILE 指定其憑證；否則是憑證有誤，或 TLS 在途中被解開，而這裡不得解開。"},
		"nat.none":           {"UDP 路徑上沒有位址轉換。", ""},
		"nat.ok":             {"閒置的 UDP 路徑至少可維持 %s 秒。", ""},
		"nat.between":        {"閒置的 UDP 路徑可維持 %s 秒，%s 秒後消失；媒體不會閒置這麼久。", ""},
		"nat.warn":           {"閒置的 UDP 路徑只能維持 %s 秒，%s 秒後即消失。", "媒體會自行維持路徑，但休眠的手機可能斷線；請管理員將 UDP 逾時設為 2 分鐘。"},
		"nat.skip":           {"未檢查 UDP 可維持多久：UDP 無法使用。", ""},
		"nat.unknown":        {"無法得知 UDP 可維持多久。", ""},
		"all.ok":             {"從這裡可以順利開會。", ""},
		"all.half":           {"不需會議即可檢查的項目均正常。", ""},
		"all.stream":         {"從這裡可以開會，但無法使用 UDP：網路繁忙時聲音與影像可能停頓。", ""},
		"all.tunnel":         {"從這裡可以開會，但只能經由通道連上區域：加入較慢。", ""},
		"all.clock":          {"從這裡可以開會，但必須校正時間。", ""},
		"all.web":            {"從這裡完全無法連上系統。", ""},
		"all.lookup":         {"已連上系統，但無法取得會議。", ""},
		"all.zones":          {"從這裡無法加入會議：連不上任何區域或通道。瀏覽器或許可行。", ""},
		"all.join":           {"從這裡無法加入會議：找不到路由器。", ""},
		"all.control":        {"從這裡無法加入會議：連不上路由器。", ""},
		"all.media":          {"從這裡可以加入會議，但聲音與影像沒有可用的路徑。", ""},
	},
}

// titles name what is looked at.
var titles = map[protocol.Language]map[ID]string{
	protocol.English: {
		Name: "Name", Web: "Web server", Certificate: "Certificate", Clock: "Clock", Proxy: "Proxy", Lookup: "Meeting",
		Controller: "Zone", Tunnel: "Tunnel", Join: "Admission", Control: "Control", UDP: "Media, UDP", TCP: "Media, TCP", TLS: "Media, TLS", NAT: "NAT",
	},
	protocol.TraditionalChinese: {
		Name: "名稱", Web: "網站", Certificate: "憑證", Clock: "時間", Proxy: "代理伺服器", Lookup: "會議",
		Controller: "區域", Tunnel: "通道", Join: "准入", Control: "控制", UDP: "媒體 UDP", TCP: "媒體 TCP", TLS: "媒體 TLS", NAT: "NAT",
	},
}

// phrases are the remaining words of the report.
var phrases = map[protocol.Language]map[string]string{
	protocol.English: {
		"heading": "Connection check of %s", "ok": "ok", "skipped": "skip", "warn": "warn", "fail": "FAIL",
		"rules": "For the administrator of this network: let these out.",
		"host":  "HOST", "port": "PORT", "protocol": "PROTOCOL", "for": "FOR", "state": "NOW", "open": "open", "closed": "CLOSED", "untrusted": "certificate not trusted",
	},
	protocol.TraditionalChinese: {
		"heading": "連線檢查：%s", "ok": "正常", "skipped": "略過", "warn": "注意", "fail": "失敗",
		"rules": "請此網路的管理員開放下列對外連線。",
		"host":  "主機", "port": "連接埠", "protocol": "協定", "for": "用途", "state": "現況", "open": "已開放", "closed": "未開放", "untrusted": "憑證不受信任",
	},
}

// Say fills in all texts in a language; one that is not known is English.
func (r *Report) Say(language protocol.Language) {
	if table[language] == nil {
		language = protocol.English
	}
	r.Text = table[language][r.Words].text
	for i := range r.Lines {
		r.Lines[i].say(language)
	}
	for i := range r.Rules {
		r.Rules[i].Purpose = titles[language][r.Rules[i].For]
	}
}

func (l *Line) say(language protocol.Language) {
	w, known := table[language][l.Words]
	if problem, ok := protocol.Problems[l.Code]; ok && !known {
		p := problem.Words[language]
		l.Text, l.Remedy = p.Title, p.Remedy
	} else {
		args := make([]any, len(l.Args))
		for i, a := range l.Args {
			args[i] = a
		}
		l.Text, l.Remedy = fmt.Sprintf(w.text, args...), w.remedy
	}
	if l.Detail != "" && l.Verdict != OK {
		text := strings.TrimSuffix(strings.TrimSuffix(l.Text, "."), "。")
		l.Text = text + " (" + l.Detail + ")"
	}
}

// Languages lists those that Say knows.
func Languages() []protocol.Language {
	list := []protocol.Language{}
	for l := range table {
		list = append(list, l)
	}
	slices.Sort(list)
	return list
}
