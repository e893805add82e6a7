// What the page remembers between visits. A browser that refuses to keep anything costs the memory, not the page.

export function recall(key) {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value)
  } catch {
    // Full or forbidden.
  }
}
