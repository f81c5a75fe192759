// Tries the operations of the page /docs out, against this server alone. Without it the page reads just as well.
"use strict";
const SCOPES = { graph: "https://graph.microsoft.com/.default", v1: "https://api.partnercenter.microsoft.com/.default" };
const tokens = {};

const show = (output, text) => { output.hidden = false; output.textContent = text; };

document.querySelector("#sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const said = [];
  for (const [api, scope] of Object.entries(SCOPES)) {
    const body = new URLSearchParams({ grant_type: "client_credentials", client_id: form.get("client"),
      client_secret: form.get("secret"), scope });
    const answer = await fetch(`/${encodeURIComponent(form.get("tenant"))}/oauth2/v2.0/token`, { method: "POST", body });
    const found = await answer.json();
    tokens[api] = found.access_token;
    said.push(`${scope}: ${answer.ok ? "signed in" : found.error_description || found.error.message}`);
  }
  show(event.target.querySelector("output"), said.join("\n"));
});

for (const form of document.querySelectorAll("form.try")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = {}, query = new URLSearchParams();
    let path = form.dataset.path, body;
    for (const input of form.querySelectorAll("[name]")) {
      if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
      else if (input.dataset.in === "body") { body = input.value; headers["Content-Type"] = input.dataset.type; }
      else if (input.value && input.dataset.in === "query") query.append(input.name, input.value);
      else if (input.value) headers[input.name] = input.value;
    }
    const token = tokens[path.startsWith("/v1/") ? "v1" : "graph"];
    if (token && form.dataset.signed) headers.Authorization = `Bearer ${token}`;
    const output = form.querySelector("output");
    try {
      const answer = await fetch(path + (query.size ? `?${query}` : ""), { method: form.dataset.method, headers, body });
      const text = await answer.text();
      const told = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      show(output, `${answer.status} ${answer.statusText}\n${told}\n\n${text.slice(0, 20000)}`);
    } catch (error) {
      show(output, String(error));
    }
  });
}
