"""Style of the page beyond its theme."""

# Colours of the theme with too little contrast.
COLOURS = {
    "block_info_text_color": "*neutral_500",
    "block_info_text_color_dark": "*neutral_300",
    "block_label_text_color": "*primary_700",
    "block_title_text_color": "*primary_700",
    "body_text_color_subdued": "*neutral_500",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_dark": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_hover_dark": "*primary_700",
    "link_text_color": "*primary_700",
    "link_text_color_visited": "*primary_700",
    "link_text_color_hover": "*primary_800",
    "link_text_color_dark": "*primary_300",
    "link_text_color_visited_dark": "*primary_300",
    "link_text_color_hover_dark": "*primary_200",
}
CSS = """
/* As wide on one tab as on the others. */
.gradio-container { width: 100% !important; max-width: 960px !important; margin: 0 auto !important; }
#title h1 { font-size: 1.9rem; margin: 1.2rem 0 .2rem; }
#title p, .about p { opacity: .8; }
#title p { font-size: 1.05rem; }
.about p { font-size: .9rem; }
.about, .about * { min-width: 0; }
.about pre, .about code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
[role=tab][aria-selected=true] { color: var(--primary-700) !important; }
.dark [role=tab][aria-selected=true] { color: var(--primary-300) !important; }
#speech .html-container { padding: 0; }
#speech audio { width: 100%; color-scheme: light; }
.dark #speech audio { color-scheme: dark; }
#status { display: grid; grid-template-columns: minmax(8rem, 1fr) 2fr; margin: 0; }
#status dt, #status dd { margin: 0; padding: .6rem .2rem; border-bottom: 1px solid var(--border-color-primary);
  overflow-wrap: anywhere; }
#status dt { font-weight: 600; }
.note progress { appearance: none; width: 100%; height: .6rem; border: 0; border-radius: .3rem; overflow: hidden;
  background: var(--border-color-primary); }
.note progress::-webkit-progress-bar { background: var(--border-color-primary); }
.note progress::-webkit-progress-value { background: var(--primary-500); }
.note progress::-moz-progress-bar { background: var(--primary-500); }
.note [role=alert] { border-left: 4px solid #dc2626; padding: .2rem .8rem; overflow-wrap: anywhere; }
.note [role=alert] ul { list-style: disc; padding-left: 1.2rem; }
.announcer { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
:focus-visible { outline: 3px solid var(--primary-600) !important; outline-offset: 2px !important; }
.dark :focus-visible { outline-color: var(--primary-300) !important; }
@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation: none !important; transition: none !important; scroll-behavior: auto !important; }
}
"""
