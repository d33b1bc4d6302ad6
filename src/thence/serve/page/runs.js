export function runsTab(panel) { panel.append('Soon.'); }
