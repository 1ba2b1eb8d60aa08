// Icons, once for all pages
document.body.insertAdjacentHTML('afterbegin', `<svg xmlns="http://www.w3.org/2000/svg" style="display:none">
<symbol id="svg-arrow-right" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"><title>Next</title><path d="M9 18l6-6-6-6"/></symbol>
<symbol id="svg-sun" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"><title>Light</title><circle cx="12" cy="12" r="4.5"/><path d="M12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4"/></symbol>
<symbol id="svg-moon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"><title>Dark</title><path d="M12 3a7.5 7.5 0 0 0 8.3 12.5A9 9 0 1 1 12 3z"/></symbol>
<symbol id="svg-sun-with-moon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"><title>Automatic, now light</title><circle cx="12" cy="12" r="4.5"/><path d="M12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4"/><path d="M12 7.5v9a4.5 4.5 0 0 0 0-9z" fill="currentColor"/></symbol>
<symbol id="svg-moon-with-sun" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"><title>Automatic, now dark</title><path d="M12 3a7.5 7.5 0 0 0 8.3 12.5A9 9 0 1 1 12 3z"/><circle cx="18" cy="6" r="2"/></symbol>
</svg>`);
