// The console's only script. Every page works without it, except the tree's arrows and the copy buttons.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const theme = stored();
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;

  const switchTheme = () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch { /* A browser may forbid it. */ }
  };

  // Fetches a part of a page from this server. An answer of another kind, such as the sign-in page, shows as the whole page.
  const part = async (address, signal) => {
    const answer = await fetch(address, { headers: { accept: "text/html" }, signal, credentials: "same-origin" });
    if (answer.redirected || !answer.ok) { location.reload(); return null; }
    return new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes;
  };

  const expand = async (button) => {
    const item = button.parentElement;
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    let below = item.querySelector(":scope > .below");
    if (below) { below.hidden = open; return; }
    below = document.createElement("div");
    below.className = "below";
    item.append(below);
    const found = await part(button.dataset.expand);
    if (found) below.replaceChildren(...found);
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.classList.add("done");
    } catch {
      // Without HTTPS there is no clipboard: select the text instead.
      getSelection().selectAllChildren(source);
    }
  };

  let running = null;
  let waiting = 0;
  const search = (input) => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      running?.abort();
      running = new AbortController();
      const fields = new URLSearchParams(new FormData(input.form));
      const address = `${input.form.getAttribute("action")}?${fields}`;
      history.replaceState(null, "", address);
      try {
        const found = await part(`${address}&part=lists`, running.signal);
        if (found) document.getElementById(input.dataset.search).replaceChildren(...found);
      } catch (error) {
        if (error.name !== "AbortError") throw error;
      }
    }, 150);
  };

  // Behind a proxy with a path of its own, only the browser knows the whole address.
  addEventListener("DOMContentLoaded", () => {
    // A secret is shown once: a reload loads the page without it, and does not send the form again.
    const shown = document.querySelector("[data-shown]");
    if (shown) history.replaceState(null, "", shown.dataset.shown);
    const holder = document.querySelector("[data-address]");
    const address = location.origin + location.pathname.replace(/\/console\/[^/]*$/, "");
    for (const text of holder?.querySelectorAll("pre") ?? []) {
      text.textContent = text.textContent.replaceAll(holder.dataset.address, address);
    }
  });
  addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (!button) return;
    if ("themeSwitch" in button.dataset) switchTheme();
    else if (button.dataset.expand) expand(button);
    else if (button.dataset.copy) copy(button);
  });
  addEventListener("input", (event) => { if (event.target.dataset?.search) search(event.target); });
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const field = document.querySelector("input[type=search]");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    }
  });
})();
