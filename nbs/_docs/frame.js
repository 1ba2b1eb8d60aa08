// What stands around every page, once for all of them: icons, the bar of a phone, the sidebar with its parts, what is on this page
(function () {
  const parts = PARTS, script = document.currentScript, here = script.dataset.page, root = document.documentElement.dataset.content_root;
  const page = script.closest(".page"), main = script.closest(".main");
  document.body.dataset.theme = localStorage.getItem("theme") || "auto";

  const drawn = { toc: ["Contents", "M9 6h12M9 12h12M9 18h12M4 6h.1M4 12h.1M4 18h.1"], menu: ["Menu", "M3 6h18M3 12h18M3 18h18"],
    "arrow-right": ["Next", "M9 18l6-6-6-6"],
    sun: ["Light", "M16.5 12a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4"],
    moon: ["Dark", "M12 3a7.5 7.5 0 0 0 8.3 12.5A9 9 0 1 1 12 3z"],
    "sun-with-moon": ["Automatic, now light", "M16.5 12a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
      '<path d="M12 7.5v9a4.5 4.5 0 0 0 0-9z" fill="currentColor"/>'],
    "moon-with-sun": ["Automatic, now dark", "M12 3a7.5 7.5 0 0 0 8.3 12.5A9 9 0 1 1 12 3z", '<circle cx="18" cy="6" r="2"/>'] };
  const symbol = ([name, [title, path, more]]) => `<symbol id="svg-${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"><title>${title}</title><path d="${path}"/>${more || ""}</symbol>`;
  const icon = (name, kind = "") => `<svg class="${kind}"><use href="#svg-${name}"></use></svg>`;
  const themes = [["auto-light", "sun-with-moon"], ["auto-dark", "moon-with-sun"], ["dark", "moon"], ["light", "sun"]].map(([when, name]) => icon(name, `theme-icon-when-${when}`)).join("");
  const theme = (place) => `<div class="theme-toggle-container theme-toggle-${place}"><button class="theme-toggle" aria-label="Toggle light, dark or automatic colors">${themes}</button></div>`;
  const contents = (place) => `<label class="toc-overlay-icon toc-${place}-icon" for="__toc"><span class="icon">${icon("toc")}</span></label>`;

  page.insertAdjacentHTML("beforebegin", `<svg xmlns="http://www.w3.org/2000/svg" style="display:none">${Object.entries(drawn).map(symbol).join("")}</svg>
<input type="checkbox" class="sidebar-toggle" name="__navigation" id="__navigation" aria-label="Toggle site navigation sidebar"><input type="checkbox" class="sidebar-toggle" name="__toc" id="__toc" aria-label="Toggle table of contents sidebar">
<label class="overlay sidebar-overlay" for="__navigation"></label><label class="overlay toc-overlay" for="__toc"></label><a class="skip-to-content muted-link" href="#furo-main-content">Skip to content</a>`);
  main.insertAdjacentHTML("beforebegin", `<header class="mobile-header"><div class="header-left"><label class="nav-overlay-icon" for="__navigation"><span class="icon">${icon("menu")}</span></label></div>
<div class="header-center"><a href="${root}index.html"><div class="brand">TITLE</div></a></div><div class="header-right">${theme("header")}${contents("header")}</div></header>
<aside class="sidebar-drawer"><div class="sidebar-container"><div class="sidebar-sticky"><a class="sidebar-brand" href="${root}index.html"><span class="sidebar-brand-text">TITLE</span></a>
<form class="sidebar-search-container" method="get" action="${root}search.html" role="search"><input class="sidebar-search" placeholder="Search" name="q" aria-label="Search"></form>
<div class="sidebar-scroll"><nav class="sidebar-tree" aria-label="Pages"></nav></div></div></div></aside>`);
  script.insertAdjacentHTML("beforebegin", `<a href="#" class="back-to-top muted-link"><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="M13 20h-2V8l-5.5 5.5-1.42-1.42L12 4.16l7.92 7.92-1.42 1.42L13 8v12z"></path></svg><span>Back to top</span></a>
<div class="content-icon-container">${theme("content")}${contents("content")}</div>`);

  const holds = ([name, , below]) => name === here || below.some(holds);
  const item = (entry, level) => {
    const [name, title, below] = entry, li = document.createElement("li"), a = li.appendChild(document.createElement("a"));
    li.className = `toctree-l${level}` + (holds(entry) ? " current" : "") + (name === here ? " current-page" : "");
    a.className = "reference"; a.href = root + name + ".html"; a.textContent = title;
    if (name === here) a.setAttribute("aria-current", "page");
    if (below.length && holds(entry)) li.appendChild(list(below, level + 1));
    return li;
  };
  const list = (entries, level) => { const ul = document.createElement("ul"); ul.append(...entries.map((e) => item(e, level))); return ul; };
  page.querySelector(".sidebar-tree").replaceChildren(...parts.flatMap(([caption, entries]) => {
    const p = document.createElement("p"); p.className = "caption"; p.setAttribute("role", "heading"); p.setAttribute("aria-level", "2"); p.textContent = caption;
    return [p, list(entries, 1)];
  }));

  if (location.protocol !== "file:") fetch(`${root}../versions.json`).then((reply) => reply.json()).then((names) => { // where several versions are served, a folder each
    const own = new URL(root, location).pathname.split("/").at(-2), select = document.createElement("select");
    if (!names.includes(own)) return;
    select.className = "versions"; select.setAttribute("aria-label", "Version"); select.append(...names.map((n) => new Option(n, n, n === own, n === own)));
    select.addEventListener("change", async () => {
      const there = `${root}../${select.value}/`, same = await fetch(`${there}${here}.html`, { method: "HEAD" }).catch(() => ({}));
      location.href = there + (same.ok ? here : "index") + ".html";
    });
    page.querySelector(".sidebar-brand").after(select);
  }).catch(() => {}); // one version alone, or a file that was opened without a server

  document.addEventListener("DOMContentLoaded", () => { // before furo's own, which follows the reader through this list
    const inner = (section) => [...section.querySelectorAll(":scope > section[id], :scope > div > section[id]")];
    const entries = (sections, depth) => {
      const ul = document.createElement("ul");
      for (const section of sections) {
        const head = section.querySelector(":scope > :is(h1, h2, h3, h4, h5)"), li = document.createElement("li"), a = document.createElement("a");
        if (!head) continue;
        a.href = depth ? "#" + section.id : "#"; a.innerHTML = head.innerHTML.replace(/<\/?a\b[^>]*>/g, "");
        head.insertAdjacentHTML("beforeend", `<a class="headerlink" href="#${section.id}">#</a>`);
        li.append(a);
        if (inner(section).length) li.append(entries(inner(section), depth + 1));
        ul.append(li);
      }
      return ul;
    };
    const toc = entries(inner(document.querySelector("article")), 0), aside = document.createElement("aside");
    aside.className = "toc-drawer";
    if (toc.querySelectorAll("li").length > 1) {
      aside.innerHTML = '<div class="toc-sticky toc-scroll"><div class="toc-title-container"><span class="toc-title">On this page</span></div><div class="toc-tree-container"><div class="toc-tree"></div></div></div>';
      aside.querySelector(".toc-tree").append(toc);
    } else for (const el of [aside, ...document.querySelectorAll(".toc-overlay-icon")]) el.classList.add("no-toc");
    main.append(aside);
    for (const [kind, word] of [["prev", "Previous"], ["next", "Next"]]) {
      const a = page.querySelector(`.${kind}-page`);
      if (!a) continue;
      a.innerHTML = `<div class="page-info"><div class="context"><span>${word}</span></div><div class="title">${a.innerHTML}</div></div>`;
      a.insertAdjacentHTML(kind === "prev" ? "afterbegin" : "beforeend", icon("arrow-right", "furo-related-icon"));
    }
    page.querySelector("footer").insertAdjacentHTML("beforeend", `<div class="bottom-of-page"><div class="left-details"><div class="copyright">Copyright © COPYRIGHT</div>Made with <a href="https://github.com/pradyunsg/furo">Furo</a></div><div class="right-details"></div></div>`);
  });
})();
