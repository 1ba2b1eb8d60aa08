// The sidebar: four parts with their pages; below the page at hand, or the one it belongs to, what it holds
(function () {
  const parts = PARTS, script = document.currentScript, here = script.dataset.page, root = document.documentElement.dataset.content_root;
  const holds = ([page, , below]) => page === here || below.some(holds);
  const item = (entry, level) => {
    const [page, title, below] = entry, li = document.createElement("li"), a = li.appendChild(document.createElement("a"));
    li.className = `toctree-l${level}` + (holds(entry) ? " current" : "") + (page === here ? " current-page" : "");
    a.className = "reference"; a.href = root + page + ".html"; a.textContent = title;
    if (page === here) a.setAttribute("aria-current", "page");
    if (below.length && holds(entry)) li.appendChild(list(below, level + 1));
    return li;
  };
  const list = (entries, level) => { const ul = document.createElement("ul"); ul.append(...entries.map((e) => item(e, level))); return ul; };
  const place = script.previousElementSibling;
  place.replaceChildren(...parts.flatMap(([caption, entries]) => {
    const p = document.createElement("p"); p.className = "caption"; p.setAttribute("role", "heading"); p.setAttribute("aria-level", "2"); p.textContent = caption;
    return [p, list(entries, 1)];
  }));
})();
