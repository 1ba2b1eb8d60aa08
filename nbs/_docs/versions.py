"""A site beside those of other versions: a folder each, a list that the pages read, and a way from the old addresses to the newest release.

    python nbs/_docs/versions.py _site FOLDER NAME

FOLDER is what is served; NAME is `main`, or a tag such as `v1.2.0`.
"""
import json
import re
import shutil
import sys
from pathlib import Path

ON = '''<!doctype html><meta charset="utf-8"><title>{title}</title><script>
const base = {base}, rest = location.pathname.slice(location.pathname.indexOf(base) + base.length), known = {names};
location.replace(base + "{newest}/" + (known.includes(rest.split("/")[0]) ? "" : rest) + location.search + location.hash);
</script><a href="{base_url}{newest}/index.html">{title}</a>
'''


def order(name: str) -> tuple:
    "Releases by their numbers, `main` before the first of them"
    return tuple(map(int, re.findall(r'\d+', name)))


def add(site: Path, served: Path, name: str, base: str = '/synthgen_nb/') -> list[str]:  # newest first
    "Put a site into its folder, and list all there are"
    if not re.fullmatch(r'main|v\d+\.\d+\.\d+', name): raise SystemExit(f'{name}: expected main, or a tag such as v1.2.0')
    if not (site/'index.html').is_file(): raise SystemExit(f'{site}: no site in it; run make docs')
    shutil.rmtree(served/name, ignore_errors=True)
    shutil.copytree(site, served/name)
    names = sorted((p.parent.name for p in served.glob('*/index.html')), key=order, reverse=True)
    (served/'versions.json').write_text(json.dumps(names) + '\n', encoding='utf-8')
    told = ON.format(title='synthgen_nb', base=json.dumps(base), base_url=base, newest=names[0], names=json.dumps(names))
    for page in ('index.html', '404.html'): (served/page).write_text(told, encoding='utf-8')
    (served/'.nojekyll').touch()  # else folders that begin with _ are left out
    return names


if __name__ == '__main__': print(*add(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
