"""How pages look, in light and in dark, on a desk and on a phone."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #22262a; --soft: #5d666e; --faint: #dcdcd6;
  --before: #8a949c; --after: #2f6f9f; --worse: #c0392b; --better: #2e8b57;
  --series-1: #2f6f9f; --series-2: #c77b21; --series-3: #4b8b5a; --series-4: #9a4f96;
  --series-5: #b0493f; --series-6: #64707a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181b; --card: #1d2125; --ink: #e6e6e1; --soft: #9aa4ac; --faint: #353b41;
    --before: #88929a; --after: #6db3e3; --worse: #ef7f70; --better: #68c893;
    --series-1: #6db3e3; --series-2: #e6a356; --series-3: #7fc58f; --series-4: #cf8fca;
    --series-5: #e78b80; --series-6: #a3adb6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .8rem; }
h3 { font-size: .8rem; margin: 1.4rem 0 .6rem; color: var(--soft); letter-spacing: .06em;
  text-transform: uppercase; font-weight: 600; }
p { margin: .3rem 0; max-width: 72ch; }
.soft, figcaption span, .tile small, dt, th { color: var(--soft); }
code { font: .88em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.lead { font-size: 1.08rem; }
.lead li { margin: .25rem 0; }
.lead ul { margin: .5rem 0; padding-left: 1.2rem; max-width: 80ch; }
.tiles { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(205px, 1fr)); }
.tile { background: var(--card); border: 1px solid var(--faint); border-left: 4px solid
  var(--before); border-radius: 8px; padding: .7rem .9rem; }
.tile.better { border-left-color: var(--better); }
.tile.worse { border-left-color: var(--worse); }
.tile b { display: block; font-size: 1.55rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.tile b i { font-style: normal; font-weight: 400; color: var(--soft); font-size: 1.05rem; }
.tile small { display: block; font-size: .82rem; overflow-wrap: anywhere; }
.tile strong { overflow-wrap: anywhere; }
.tile small.other { margin-top: .35rem; padding-top: .35rem; border-top: 1px solid var(--faint); }
.delta.better, td.better { color: var(--better) !important; }
.delta.worse, td.worse { color: var(--worse) !important; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--faint);
  border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .42rem .8rem; border-bottom: 1px solid var(--faint);
  white-space: nowrap; vertical-align: baseline; }
th { font-weight: 600; font-size: .8rem; }
th.name, td.name { text-align: left; }
tr:last-child > td { border-bottom: 0; }
tr.group > td { text-align: left; color: var(--soft); font-size: .8rem; padding-top: .9rem;
  text-transform: uppercase; letter-spacing: .05em; }
td.name.wide { white-space: normal; overflow-wrap: anywhere; min-width: 16rem; }
.plots { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--faint); border-radius: 8px;
  padding: .9rem 1rem .6rem; }
figcaption { font-weight: 600; margin-bottom: .4rem; }
figcaption span { display: block; font-weight: 400; font-size: .82rem; line-height: 1.4; }
svg { display: block; width: 100%; height: auto; max-width: 560px; margin: 0 auto; }
svg text { font-family: inherit !important; }
details { background: var(--card); border: 1px solid var(--faint); border-radius: 8px;
  padding: .6rem 1rem; margin: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
.flips { display: grid; column-gap: 2rem; margin-top: .4rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); }
.flip { border-top: 1px solid var(--faint); padding: .6rem 0 .5rem; overflow-wrap: anywhere;
  font-size: .92rem; }
.flip table { font-size: .85rem; margin: .3rem 0 0; }
.flip td, .flip th { padding: .1rem .5rem .1rem 0; border: 0; }
.flip td.name { white-space: normal; width: 60%; }
.right { font-weight: 650; }
.note { border-left: 4px solid var(--series-2); padding: .4rem .9rem; background: var(--card);
  margin: .6rem 0; overflow-wrap: anywhere; max-width: none; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .25rem 1.2rem;
  font-size: .9rem; margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
@media (max-width: 560px) {
  main { padding: 1.2rem .8rem 3rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  .tiles { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
  .tile b { font-size: 1.3rem; }
  figure { padding: .7rem .5rem .4rem; }
  figcaption { padding: 0 .4rem; }
}
@media print { details { display: block; } body { background: #fff; } }
"""
