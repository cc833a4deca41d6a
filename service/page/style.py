"""How the page looks, beyond its theme."""

CSS = """
.gradio-container { max-width: 960px !important; margin: 0 auto !important; }
#title h1 { font-size: 1.9rem; margin: 1.2rem 0 .2rem; }
#title p, .about p { opacity: .8; }
#title p { font-size: 1.05rem; }
.about p { font-size: .9rem; }
.about, .about * { min-width: 0; }
.about pre, .about code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
#status { display: grid; grid-template-columns: minmax(8rem, 1fr) 2fr; margin: 0; }
#status dt, #status dd { margin: 0; padding: .6rem .2rem; border-bottom: 1px solid var(--border-color-primary);
  overflow-wrap: anywhere; }
#status dt { font-weight: 600; }
#batch-note progress { width: 100%; height: .8rem; accent-color: var(--primary-500); }
#batch-note [role=alert] { border-left: 4px solid #dc2626; padding: .2rem .8rem; overflow-wrap: anywhere; }
#batch-note [role=alert] ul { list-style: disc; padding-left: 1.2rem; }
"""
