"""A reader: the bytes of a file → Markdown, or (Markdown, title). It runs in a process of its own, with a limit on time and memory."""
import re


def to_markdown(data: bytes) -> tuple[str, str]:
    "The events of a calendar as sections"
    text = re.sub(r'\r?\n[ \t]', '', data.decode('utf-8'))
    fields = [dict(re.findall(r'^(SUMMARY|DTSTART|DESCRIPTION)[^:\n]*:(.*?)\r?$', e, re.M)) for e in text.split('BEGIN:VEVENT')[1:]]
    if not fields: raise ValueError('no event in it')
    part = lambda f: f'## {f.get("SUMMARY", "Event")}\n\n{f.get("DTSTART", "")[:8]}: {f.get("DESCRIPTION", "")}\n'
    return '\n'.join(map(part, fields)), 'Calendar'
