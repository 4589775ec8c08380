// Leads the calls to Datadog of Node's own `https` and `fetch` through the proxy of `ddgate run`.
//
// From 22.21 and 24 on Node does it by itself (NODE_USE_ENV_PROXY); before, neither reads a proxy variable, and
// Datadog's client for Node uses both. Node loads this file first because `ddgate run` names it in NODE_OPTIONS.
// Other hosts are dialled as ever. What a program gives a proxy agent of its own keeps that. Should this fail,
// the program runs on and its calls to Datadog fail: the agent holds no key.
"use strict";

const https = require("https");
const http = require("http");

const DOMAINS = [
  "browser-intake-ap1-datadoghq.com",
  "browser-intake-ap2-datadoghq.com",
  "browser-intake-datadoghq.com",
  "browser-intake-datadoghq.eu",
  "browser-intake-ddog-gov.com",
  "browser-intake-uk1-datadoghq.com",
  "browser-intake-us2-ddog-gov.com",
  "browser-intake-us3-datadoghq.com",
  "browser-intake-us5-datadoghq.com",
  "datadoghq.com",
  "datadoghq.eu",
  "ddog-gov.com",
];
const DISPATCHER = Symbol.for("undici.globalDispatcher.1");

function followsByItself() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return major >= 24 || (major === 22 && minor >= 21);
}

function isDatadogs(host) {
  const bare = String(host || "").toLowerCase().replace(/\.$/, "");
  return DOMAINS.some((domain) => bare === domain || bare.endsWith("." + domain));
}

// A socket through the proxy to a host and port, for whoever speaks TLS on it.
function tunnel(proxy, host, port, done) {
  const login = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const target = `${host}:${port || 443}`;
  const request = (proxy.protocol === "https:" ? https : http).request({
    host: proxy.hostname.replace(/^\[|\]$/g, ""),
    port: proxy.port || (proxy.protocol === "https:" ? 443 : 80),
    method: "CONNECT",
    path: target,
    agent: false,
    headers: { Host: target, "Proxy-Authorization": "Basic " + Buffer.from(login).toString("base64") },
  });
  request.once("connect", (answer, socket) => {
    if (answer.statusCode === 200) return done(null, socket);
    socket.destroy();
    done(new Error(`ddgate: the gateway refused ${target} with status ${answer.statusCode}`));
  });
  request.once("error", done);
  request.end();
}

function leadHttps(proxy) {
  const direct = https.Agent.prototype.createConnection;
  https.Agent.prototype.createConnection = function createConnection(options, done) {
    if (!isDatadogs(options.host) || options.socket || typeof done !== "function") {
      return direct.call(this, options, done);
    }
    tunnel(proxy, options.host, options.port, (error, socket) => {
      if (error) return done(error);
      done(null, direct.call(this, { ...options, socket }));
    });
  };
}

function leadFetch(proxy) {
  const original = globalThis.fetch;
  if (typeof original !== "function") return;
  let isLed = false;
  function lead() {
    isLed = true;
    void globalThis.Response; // loads what serves fetch; a program without it doesn't pay for that
    const usual = globalThis[DISPATCHER];
    if (!usual || usual.constructor.name !== "Agent") return; // the program's own
    const led = new usual.constructor({ connect: (options, done) => secure(proxy, options, done) });
    globalThis[DISPATCHER] = {
      dispatch(options, handler) {
        const url = new URL(String(options.origin));
        const through = url.protocol === "https:" && isDatadogs(url.hostname) ? led : usual;
        return through.dispatch(options, handler);
      },
      close: () => Promise.all([led.close(), usual.close()]),
      destroy: (error) => Promise.all([led.destroy(error), usual.destroy(error)]),
    };
  }
  globalThis.fetch = function fetch(input, init) {
    if (!isLed) lead();
    return original.call(this, input, init);
  };
}

function secure(proxy, options, done) {
  tunnel(proxy, options.hostname, options.port, (error, socket) => {
    if (error) return done(error, null);
    const servername = options.servername || options.hostname;
    const secured = require("tls").connect({ socket, servername, ALPNProtocols: ["http/1.1"] });
    secured.once("error", (problem) => done && done(problem, null));
    secured.once("secureConnect", () => {
      secured.removeAllListeners("error");
      done(null, secured);
      done = null;
    });
  });
}

try {
  if (process.env.DDGATE_RUN_PROXY && !followsByItself()) {
    const proxy = new URL(process.env.DDGATE_RUN_PROXY);
    leadHttps(proxy);
    leadFetch(proxy);
  }
} catch (error) {
  process.stderr.write(`ddgate run: Node can't be pointed at the gateway (${error.name}); its calls will fail\n`);
}
