/** The names of the reference as pages write them, and where pages do. */
import type { DeclarationReflection, ProjectReflection, Reflection } from "typedoc"
import * as Contents from "./contents.ts"
import * as Pages from "./pages.ts"
import { isEntry } from "./theme.ts"

/** The modules, and what they export themselves. */
export const documented = (project: ProjectReflection): ReadonlyArray<DeclarationReflection> =>
  project.children!.flatMap((module) =>
    isEntry(module) ? [] : [
      module,
      ...module.children?.filter((child) => !child.isReference()) ?? []
    ]
  )

/** `Client.reconnecting` and the like, by what one writes: the module's own name, without its folder. */
export const exported = (project: ProjectReflection): ReadonlyMap<string, DeclarationReflection> => {
  const found = new Map<string, DeclarationReflection>()
  for (const module of project.children!) {
    const short = module.name.split("/").at(-1)!
    if (isEntry(module)) continue
    for (const [name, target] of [[module.name, module], [short, module]] as const) {
      if (!found.has(name) || name === module.name) found.set(name, target)
    }
    for (const child of module.children ?? []) {
      for (const name of [`${module.name}.${child.name}`, `${short}.${child.name}`]) {
        // What a module exports again is described where it comes from.
        const target = child.isReference() ? child.getTargetReflectionDeep() : child
        if (!found.has(name)) found.set(name, target as DeclarationReflection)
      }
    }
  }
  return found
}

export interface Mention {
  readonly title: string
  readonly url: string
  readonly times: number
}

/** Where pages speak of what is exported: of each page the first section. */
export const mentions = (
  exported: ReadonlyMap<string, DeclarationReflection>
): ReadonlyMap<Reflection, ReadonlyMap<string, Mention>> => {
  const found = new Map<Reflection, Map<string, Mention>>()
  for (
    const file of [
      "README.md",
      ...Contents.chapters.flatMap(({ pages }) => pages)
    ]
  ) {
    const text = Contents.written.get(file)!
    for (const section of Pages.sections(text)) {
      const names = `${section.text}\n${section.code}`.match(/\b[A-Z]\w+\.\w+/g) ?? []
      for (const name of names) {
        const target = exported.get(name)
        if (target === undefined) continue
        for (const reflection of [target, target.parent!]) {
          const places = found.get(reflection) ?? new Map<string, Mention>()
          found.set(reflection, places)
          const title = Pages.titleOf(text)
          const url = section.anchor === "" ? Contents.placeOf(file) : `${Contents.placeOf(file)}#${section.anchor}`
          const known = places.get(file) ?? {
            title: section.anchor === "" || reflection !== target ? title : `${title}: ${section.heading}`,
            url: reflection === target ? url : Contents.placeOf(file),
            times: 0
          }
          places.set(file, { ...known, times: known.times + 1 })
        }
      }
    }
  }
  return found
}
