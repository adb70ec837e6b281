/** What a release is, decided from the version, the changelog and the tags there are. Nothing here reads a file. */

export interface Section {
  /** "Unreleased", or a version. */
  readonly name: string
  readonly entries: ReadonlyArray<string>
}

/** What stands under each heading of a changelog, an entry for each bullet. */
export const sections = (changelog: string): ReadonlyArray<Section> => {
  const found: Array<{ name: string; entries: Array<string> }> = []
  for (const line of changelog.split("\n")) {
    const name = /^## \[?([^\s\]]+)/.exec(line)?.[1]
    const entry = /^- (.*)$/.exec(line)?.[1]
    if (name !== undefined) found.push({ name, entries: [] })
    else if (entry !== undefined) found.at(-1)?.entries.push(entry)
    else if (/^ {2}\S/.test(line)) {
      const entries = found.at(-1)?.entries
      if (entries !== undefined && entries.length > 0) entries.push(`${entries.pop()} ${line.trim()}`)
    }
  }
  return found
}

type Version = readonly [major: number, minor: number, patch: number, pre: string]

const parse = (text: string): Version | undefined => {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?$/.exec(text)
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3]), match[4] ?? ""]
}

/** Whether the first version comes before the second. Of a version, what is named behind a dash comes before it. */
const before = (one: Version, other: Version): boolean => {
  for (const part of [0, 1, 2] as const) if (one[part] !== other[part]) return one[part] < other[part]
  if (one[3] === other[3] || one[3] === "") return false
  return other[3] === "" || one[3].localeCompare(other[3], "en", { numeric: true }) < 0
}

/** The least version that may follow, by what the entries say of themselves. */
const least = ([major, minor, patch, pre]: Version, entries: ReadonlyArray<string>): Version => {
  // What a version has announced is what it brings.
  if (pre !== "") return [major, minor, patch, ""]
  const isBreaking = entries.some((entry) => entry.startsWith("**Breaking"))
  const isFix = entries.every((entry) => entry.startsWith("**Fixed"))
  if (major === 0) return isBreaking ? [0, minor + 1, 0, ""] : [0, minor, patch + 1, ""]
  return isBreaking ? [major + 1, 0, 0, ""] : isFix ? [major, minor, patch + 1, ""] : [major, minor + 1, 0, ""]
}

export interface Release {
  readonly version: string
  readonly tag: string
  /** Under which name npm has it: `latest`, or `next` for what comes before a version. */
  readonly distTag: "latest" | "next"
  /** What the heading of the unreleased entries becomes. */
  readonly heading: string
  readonly entries: ReadonlyArray<string>
  /** Why it must not be released. Empty when it may. */
  readonly problems: ReadonlyArray<string>
}

/** The release that a version would be. `date` is that of today, as in 2026-11-30. */
export const decide = (options: {
  readonly version: string
  readonly changelog: string
  readonly tags: ReadonlyArray<string>
  readonly date: string
}): Release => {
  const { changelog, date, tags, version } = options
  const [first, ...rest] = sections(changelog)
  const entries = first?.name === "Unreleased" ? first.entries : []
  const released = rest.flatMap(({ name }) => parse(name) === undefined ? [] : [name])
  const wanted = parse(version)
  const problems: Array<string> = []
  const tag = `v${version}`

  if (first?.name !== "Unreleased") problems.push("CHANGELOG.md does not begin with \"## Unreleased\"")
  else if (entries.length === 0) problems.push("CHANGELOG.md has nothing under \"## Unreleased\"")
  if (tags.includes(tag)) problems.push(`the tag ${tag} is there already`)
  if (released.includes(version)) problems.push(`CHANGELOG.md has ${version} already`)
  for (const name of released) {
    if (!tags.includes(`v${name}`)) problems.push(`CHANGELOG.md has ${name}, but there is no tag v${name}`)
  }
  const last = released.length === 0 ? undefined : parse(released[0])
  if (wanted === undefined) problems.push(`${version} is no version`)
  else if (last !== undefined && !released.includes(version)) {
    const needed = least(last, entries)
    const [major, minor, patch] = wanted
    if (before([major, minor, patch, ""], needed) || before(wanted, last)) {
      problems.push(
        `${version} is too low behind ${released[0]}: what CHANGELOG.md tells needs ${
          needed.slice(0, 3).join(".")
        } at least`
      )
    }
  }
  return {
    version,
    tag,
    distTag: wanted !== undefined && wanted[3] !== "" ? "next" : "latest",
    heading: `## ${version} (${date})`,
    entries,
    problems
  }
}
