// Creates one monitor with the official client for Node, unmodified: NAME. Prints as create_monitor.py does.
const { client, v1 } = require("@datadog/datadog-api-client");

const [name] = process.argv.slice(2);
const body = { name, type: "metric alert", query: "avg(last_5m):avg:a{*} > 1" };

new v1.MonitorsApi(client.createConfiguration())
  .createMonitor({ body })
  .then((made) => tell({ name: made.name }))
  .catch((error) => tell({ error: error.constructor.name, status: error.code, body: error.body }));

function tell(said) {
  console.log(JSON.stringify(said));
}
