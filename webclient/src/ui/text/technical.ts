// What the state layer says in technical English (details of the check,
// attempts and events of the report), in the language of the page. The report
// as JSON stays English: it goes to administrators and their tools.
import problems from "../../../../protocol/problems.json";
import type { Code, Language } from "../../protocol/messages.ts";
import { words } from "../../protocol/problems.ts";
import { language } from "./text.ts";

/** Phrases and what they are in traditional Chinese; $1 is what the phrase has in its first bracket. */
const phrases: [RegExp, string][] = [
  [/no answer within ([\d.]+) s/g, "$1 秒內沒有回應"],
  [/not connected after ([\d.]+) s/g, "$1 秒後仍未連上"],
  [/no media connection within ([\d.]+) s/g, "$1 秒內沒有媒體連線"],
  [/no answer from the router's media port/g, "路由器的媒體連接埠沒有回應"],
  [/no answer yet/g, "尚無回應"],
  [/no answer/g, "沒有回應"],
  [
    /the connection failed: address unreachable, certificate not trusted, or blocked/g,
    "連線失敗：位址無法到達、憑證不受信任，或遭阻擋",
  ],
  [/the answer is not a probe's/g, "回應的內容不是探測結果"],
  [/HTTP status (\d+)/g, "HTTP 狀態 $1"],
  [/no local candidates: WebRTC is held back/g, "沒有本機候選位址：WebRTC 遭停用"],
  [/local candidates: /g, "本機候選位址："],
  [/the router does not offer it/g, "路由器未提供"],
  [/no device/g, "沒有裝置"],
  [/permission: granted/g, "權限：已允許"],
  [/permission: denied/g, "權限：已拒絕"],
  [/permission: prompt/g, "權限：將會詢問"],
  [/gateway (\S+)/g, "閘道 $1"],
  [/no zone answered/g, "沒有區域回應"],
  [/^zone (\S+): /g, "區域 $1："],
  [/; no other zone had answered/g, "；沒有其他區域回應"],
  [/; next best zone (\S+): /g, "；次佳區域 $1："],
  [
    /; kept, because zone (\S+) is not better by 10 ms and a third: /g,
    "；維持不變，因為區域 $1 並未快 10 毫秒且三分之一以上：",
  ],
  [/; clearly better than zone (\S+), which it was before: /g, "；明顯優於先前的區域 $1："],
  [/\bjitter ([+-]\d+)/g, "抖動 $1"],
  [/\bload ([+-]\d+)/g, "負載 $1"],
  [/\bweight ([+-]\d+)/g, "權重 $1"],
  [/\bown network ([+-]\d+)/g, "所屬網路 $1"],
  [/it says that it is full/g, "已滿"],
  [/it says that it is draining/g, "正在排空"],
  [/it says that it is empty/g, "沒有路由器"],
  [/looked up again under the final name/g, "以最終名稱重新查詢"],
  [/joined on (\S+) in zone (\S+)/g, "已加入區域 $2 的路由器 $1"],
  [/back in the meeting, on (\S+)/g, "已回到會議，路由器 $1"],
  [/the session came back by itself/g, "連線自行恢復"],
  [/could not come back: /g, "無法回到會議："],
  [/could not move: /g, "無法移轉："],
  [/moved to (\S+)/g, "已移轉到 $1"],
  [/the router asks to move within (\d+) s/g, "路由器要求在 $1 秒內移轉"],
  [/the router is dead/g, "路由器失效"],
  [/the router ended the session/g, "路由器結束了這段連線"],
  [/the media path was cut/g, "媒體路徑中斷"],
  [/the media path was lost/g, "失去媒體路徑"],
  [/no media path to the router was found/g, "找不到通往路由器的媒體路徑"],
  [/the router's control channel was not reached/g, "連不上路由器的控制通道"],
  [/the router's control channel is out of reach/g, "無法到達路由器的控制通道"],
  [/the control channel was lost/g, "控制通道中斷"],
  [/the control channel is back/g, "控制通道已恢復"],
  [/the browser could not look for new addresses/g, "瀏覽器無法尋找新位址"],
  [/: through the (.+) from now on/g, "：此後經由$1"],
  [/climbed back to UDP/g, "已回到 UDP"],
  [/the network has changed/g, "網路已變更"],
  [/there is no network/g, "沒有網路"],
  [/^(audio|video|content) goes over (\S+) to (.+)$/g, "$1 經由 $2 連到 $3"],
  [/^sound goes twice: its way to the router loses packets$/g, "聲音以重複方式傳送：通往路由器的路徑遺失封包"],
  [/^sound goes once again$/g, "聲音恢復單次傳送"],
  [/^over: left$/g, "已離開"],
  [/^over: removed$/g, "已被移出"],
  [/^over: ended$/g, "會議已結束"],
  [/^over: /g, "已結束："],
  [/^failed: /g, "失敗："],
];

/** Titles of problems, as they appear inside other texts. */
const titles = (Object.keys(problems) as Code[]).map((code) => [words(code, "en").title, code] as const);

/** A technical text in a language. */
export function technicalIn(text: string, to: Language): string {
  if (to === "en") return text;
  let out = text;
  for (const [title, code] of titles) out = out.replaceAll(title, words(code, to).title);
  for (const [phrase, instead] of phrases) out = out.replace(phrase, instead);
  return out;
}

/** A technical text in the language of the page. */
export function technical(text: string): string {
  return technicalIn(text, language());
}
