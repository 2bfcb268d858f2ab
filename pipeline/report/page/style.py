"""How the page looks: as the pages about models do, and what only this one has."""

from pipeline.page.style import STYLE as BASE

STYLE = (
    BASE
    + """
main.two { max-width: 1500px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); }
.two .tiles { grid-template-columns: repeat(3, minmax(0, 1fr)); }
.compared { grid-template-columns: repeat(auto-fill, minmax(min(100%, 600px), 1fr)); }
.run { min-width: 0; }
.two .run + .run { border-left: 1px solid var(--faint); padding-left: 1.2rem; }
.beside { display: grid; gap: 1.2rem; grid-template-columns: 1fr; }
.two .beside { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
.runname { color: var(--soft); font-size: .85rem; font-weight: 600; margin: 0 0 .5rem; }
.scroll { margin: .7rem 0; }
.plots { margin: .7rem 0; }
.topic { border-top: 1px solid var(--faint); padding: .55rem 0; }
.topic b { margin-right: .5rem; }
.topic ul, .again ul { margin: .2rem 0 0; padding-left: 1.2rem; color: var(--soft);
  font-size: .9rem; }
.topics { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.dot { display: inline-block; min-width: 1.5em; text-align: center; border-radius: 1em;
  background: var(--faint); font-size: .8rem; margin-right: .4rem; padding: 0 .3em; }
.chats { columns: 430px; column-gap: 1rem; }
.chat { background: var(--card); border: 1px solid var(--faint); border-radius: 8px;
  padding: .7rem .9rem; margin: 0 0 1rem; break-inside: avoid; }
.chat small { color: var(--soft); overflow-wrap: anywhere; }
.said { border-radius: 10px; padding: .4rem .7rem; margin: .45rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .93rem; border: 1px solid var(--faint); }
.said::before { content: attr(data-role); display: block; font-size: .7rem; color: var(--soft);
  letter-spacing: .04em; }
.said.user { margin-left: 1.6rem;
  background: color-mix(in srgb, var(--series-1) 11%, transparent); }
.said.assistant, .said.text { margin-right: 1.6rem;
  background: color-mix(in srgb, var(--series-3) 10%, transparent); }
.said.system { border-style: dashed; color: var(--soft); font-size: .86rem; }
.drop { border-top: 1px solid var(--faint); padding: .45rem 0; overflow-wrap: anywhere;
  white-space: pre-wrap; font-size: .92rem; }
.drop small { display: block; color: var(--soft); white-space: normal; }
pre { overflow: auto; max-height: 34rem; background: var(--card); border: 1px solid var(--faint);
  border-radius: 8px; padding: .8rem 1rem; font: .8rem/1.45 ui-monospace, "DejaVu Sans Mono",
  monospace; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .88rem; margin: .8rem 0 0; }
a { color: var(--after); }
h2 { scroll-margin-top: 1rem; border-top: 1px solid var(--faint); padding-top: 1.2rem; }
@media (max-width: 900px) {
  .two .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .two .beside { grid-template-columns: 1fr; }
  .two .run + .run { border-left: 0; padding-left: 0; }
}
@media print { pre { max-height: none; } .chat, figure { break-inside: avoid; } }
"""
)
