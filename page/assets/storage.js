// In a frame of another site a browser may block storage, and Gradio's page would not open. What it
// stores is then kept as long as the tab is open.
try {
    localStorage.length;
} catch {
    const kept = new Map();
    Object.defineProperty(globalThis, "localStorage", {
        configurable: true,
        value: {
            clear: () => kept.clear(),
            getItem: (key) => kept.get(String(key)) ?? null,
            key: (index) => [...kept.keys()][index] ?? null,
            get length() {
                return kept.size;
            },
            removeItem: (key) => kept.delete(String(key)),
            setItem: (key, value) => kept.set(String(key), String(value)),
        },
    });
}
