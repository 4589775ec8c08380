// A GET through a CONNECT tunnel with what Node itself brings: PROXY_HOST PROXY_PORT TOKEN HOST PATH.
// Prints the status and the body.
const http = require("http");
const https = require("https");
const [proxyHost, proxyPort, token, host, path] = process.argv.slice(2);
const login = "Basic " + Buffer.from("agent:" + token).toString("base64");

http
  .request({
    host: proxyHost,
    port: proxyPort,
    method: "CONNECT",
    path: `${host}:443`,
    // Node itself would put the proxy's own name into Host; RFC 9112 section 3.2.3 wants the target's there.
    headers: { Host: `${host}:443`, "Proxy-Authorization": login },
  })
  .on("connect", (answer, socket) => {
    if (answer.statusCode !== 200) return fail({ code: `CONNECT: ${answer.statusCode}` });
    https
      .get({ host, path, socket, agent: false, servername: host }, (response) => {
        let body = "";
        response.on("data", (part) => (body += part));
        response.on("end", () => console.log(`${response.statusCode} ${body}`));
      })
      .on("error", fail);
  })
  .on("error", fail)
  .end();

function fail(error) {
  console.error(error.code || error.message);
  process.exit(1);
}
