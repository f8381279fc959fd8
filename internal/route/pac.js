// The functions that a PAC file may call, besides dnsResolve, myIpAddress
// and alert, which the host provides.
function isPlainHostName(host) { return host.indexOf(".") < 0; }
function dnsDomainIs(host, domain) {
  return host.length >= domain.length && host.slice(-domain.length).toLowerCase() === domain.toLowerCase();
}
function localHostOrDomainIs(host, full) {
  return host === full || (isPlainHostName(host) && full.split(".")[0] === host);
}
function isResolvable(host) { return dnsResolve(host) !== null; }
function dnsDomainLevels(host) { return host.split(".").length - 1; }
function convert_addr(text) {
  var p = text.split(".");
  return (((p[0] & 255) << 24) | ((p[1] & 255) << 16) | ((p[2] & 255) << 8) | (p[3] & 255)) >>> 0;
}
function isInNet(host, net, mask) {
  var dotted = /^\d{1,3}(\.\d{1,3}){3}$/;
  var ip = dotted.test(host) ? host : dnsResolve(host);
  if (!ip || !dotted.test(ip)) return false;
  return (convert_addr(ip) & convert_addr(mask)) === (convert_addr(net) & convert_addr(mask));
}
function shExpMatch(text, glob) {
  // Greedy matching with one point of return: linear in most cases, never exponential.
  var t = 0, g = 0, star = -1, mark = 0;
  while (t < text.length) {
    if (g < glob.length && (glob[g] === "?" || glob[g] === text[t])) { t++; g++; }
    else if (g < glob.length && glob[g] === "*") { star = g++; mark = t; }
    else if (star >= 0) { g = star + 1; t = ++mark; }
    else return false;
  }
  while (g < glob.length && glob[g] === "*") g++;
  return g === glob.length;
}
function isResolvableEx(host) { return isResolvable(host); }
function dnsResolveEx(host) { return dnsResolve(host) || ""; }
function myIpAddressEx() { return myIpAddress(); }
function sortIpAddressList(list) { return list; }
function getClientVersion() { return "1.0"; }
(function (scope) {
  var days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
  var months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
  function part(args) {
    var list = Array.prototype.slice.call(args), gmt = list[list.length - 1] === "GMT";
    if (gmt) list.pop();
    return { list: list, gmt: gmt, now: new Date() };
  }
  function between(x, from, to) { return from <= to ? from <= x && x <= to : x >= from || x <= to; }
  scope.weekdayRange = function () {
    var a = part(arguments), day = a.gmt ? a.now.getUTCDay() : a.now.getDay();
    var from = days.indexOf(a.list[0]), to = a.list.length > 1 ? days.indexOf(a.list[1]) : from;
    return between(day, from, to);
  };
  scope.timeRange = function () {
    var a = part(arguments), l = a.list;
    var h = a.gmt ? a.now.getUTCHours() : a.now.getHours();
    var m = a.gmt ? a.now.getUTCMinutes() : a.now.getMinutes();
    var s = a.gmt ? a.now.getUTCSeconds() : a.now.getSeconds();
    var x = h * 3600 + m * 60 + s;
    if (l.length === 1) return h === l[0];
    if (l.length === 2) return between(x, l[0] * 3600, l[1] * 3600);
    if (l.length === 4) return between(x, l[0] * 3600 + l[1] * 60, l[2] * 3600 + l[3] * 60);
    return between(x, l[0] * 3600 + l[1] * 60 + l[2], l[3] * 3600 + l[4] * 60 + l[5]);
  };
  // A date is compared by the units that are given: day, month, year.
  function key(list, at) {
    var k = { y: 0, m: 0, d: 0, has: "" };
    list.forEach(function (v) {
      if (typeof v === "string") { k.m = months.indexOf(v); k.has += "m"; }
      else if (v > 31) { k.y = v; k.has += "y"; }
      else { k.d = v; k.has += "d"; }
    });
    var here = { y: at.y, m: at.m, d: at.d };
    function num(o) {
      return (k.has.indexOf("y") >= 0 ? o.y * 10000 : 0) + (k.has.indexOf("m") >= 0 ? o.m * 100 : 0) + (k.has.indexOf("d") >= 0 ? o.d : 0);
    }
    return { want: num(k), have: num(here) };
  }
  scope.dateRange = function () {
    var a = part(arguments), l = a.list, n = a.now;
    var at = a.gmt ? { y: n.getUTCFullYear(), m: n.getUTCMonth(), d: n.getUTCDate() } : { y: n.getFullYear(), m: n.getMonth(), d: n.getDate() };
    if (l.length === 1) { var one = key(l, at); return one.want === one.have; }
    var half = l.length / 2, from = key(l.slice(0, half), at), to = key(l.slice(half), at);
    return between(from.have, from.want, to.want);
  };
})(this);
