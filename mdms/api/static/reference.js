// Sends what a form of the API's description says, and shows the answer as text. The token stays in this page.
"use strict";

const SHOWN = 20_000;

function addressOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(input.name, input.value);
  }
  return query.size ? `${path}?${query}` : path;
}

async function send(form) {
  const shown = form.querySelector("pre");
  const token = document.getElementById("token").value.trim();
  const address = addressOf(form);
  shown.hidden = false;
  shown.textContent = `GET ${address}\n…`;
  try {
    const answer = await fetch(address, token ? { headers: { Authorization: `Bearer ${token}` } } : {});
    const text = await answer.text();
    const rest = text.length > SHOWN ? `\n… ${text.length - SHOWN} more characters` : "";
    shown.textContent = `GET ${address}\n${answer.status} ${answer.statusText}\n\n${text.slice(0, SHOWN)}${rest}`;
  } catch {
    shown.textContent = `GET ${address}\nThe server cannot be reached.`;
  }
}

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}
