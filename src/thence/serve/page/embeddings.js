export function embeddingsTab(panel) { panel.append('Soon.'); }
