// Creates one monitor with Node's own fetch: NAME. Prints its name.
const [name] = process.argv.slice(2);
const body = JSON.stringify({ name, type: "metric alert", query: "avg(last_5m):avg:a{*} > 1" });
const headers = { "Content-Type": "application/json" };

fetch("https://api.datadoghq.com/api/v1/monitor", { method: "POST", headers, body })
  .then((answer) => answer.json())
  .then((made) => console.log(made.name));
