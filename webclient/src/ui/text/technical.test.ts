import { expect, it } from "vitest";
import { problem } from "../../protocol/problems.ts";
import { technicalIn } from "./technical.ts";

it.each([
  ["https://zc1.example.org: no answer within 5.5 s", "https://zc1.example.org: 5.5 秒內沒有回應"],
  ["joined on m1 in zone taipei", "已加入區域 taipei 的路由器 m1"],
  ["audio goes over tcp to 192.0.2.1:8801", "audio 經由 tcp 連到 192.0.2.1:8801"],
  ["sound goes twice: its way to the router loses packets", "聲音以重複方式傳送：通往路由器的路徑遺失封包"],
  ["sound goes once again", "聲音恢復單次傳送"],
  [
    "m1.example.org: no answer; gateway meet.example.org: 31 ms",
    "m1.example.org: 沒有回應; 閘道 meet.example.org: 31 ms",
  ],
  [
    "the router's control channel is out of reach: through the gateway x from now on",
    "無法到達路由器的控制通道：此後經由閘道 x",
  ],
  [`could not come back: ${problem("zone_full").title}`, null],
  ["over: left", "已離開"],
  ["192.0.2.1:8801: 12 ms", "192.0.2.1:8801: 12 ms"],
])("%s", (english, chinese) => {
  expect(technicalIn(english, "en")).toBe(english);
  const out = technicalIn(english, "zh-TW");
  if (chinese) expect(out).toBe(chinese);
  else expect(out).not.toMatch(/[a-z]{3}/);
});
