/**
 * How the reference shows functions: as functions, however they are declared, and with each of their options on the same
 * page. The generator lists the members of a type that has a page of its own, or stands in the signature; here most options
 * are made of several types, with parameters, of which some have no name outside of their module.
 */
import {
  type Comment,
  Context,
  Converter,
  type DeclarationReflection,
  makeRecursiveVisitor,
  type ProjectReflection,
  ReferenceType,
  type Reflection,
  ReflectionKind,
  type SomeType
} from "typedoc"
import ts from "typescript"

/** One option of a function, as its type says it. */
export interface Option {
  readonly name: string
  readonly isOptional: boolean
  readonly type: string
  readonly comment: Comment | undefined
  /** Whether it is declared here, and not in a package. */
  readonly isOurs: boolean
}

/** The options of what is called `options`, and of types of that name. */
export const optionsOf = new WeakMap<Reflection, ReadonlyArray<Option>>()

const isForbidden = ({ valueDeclaration }: ts.Symbol) =>
  valueDeclaration !== undefined && ts.isPropertySignature(valueDeclaration) &&
  valueDeclaration.type?.kind === ts.SyntaxKind.UndefinedKeyword

/** An Effect or a reference that makes the options: what is in it is no option. */
const isOfEffect = (type: ts.Type) => type.getProperty("pipe") !== undefined

const typeText = (checker: ts.TypeChecker, property: ts.Symbol): string => {
  const declared = property.declarations?.find(ts.isPropertySignature)?.type?.getText()
  const text = declared ?? checker.typeToString(checker.getTypeOfSymbol(property))
  return text
    // Members on lines of their own have nothing between them.
    .replaceAll(/(?<![{(<[,|&=]|=>)\n(?!\s*[})>\]|&?:])/g, "; ")
    .replaceAll(/\s+/g, " ")
    .replace(/^\| /, "")
    .replace(/ \| undefined$/, "")
    .replace(/^\((\([^()]*\) => [^()]*)\)$/, "$1")
}

/** All that may be given: of a union the options of each member, but those that a member forbids. */
const read = (context: Context, type: ts.Type): ReadonlyArray<Option> => {
  const { checker } = context
  const given = checker.getNonNullableType(type)
  const members = (given.isUnion() ? given.types : [given]).filter((member) => !isOfEffect(member))
  if (members.some((member) => (member.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) === 0)) return []
  const found = new Map<string, Array<ts.Symbol>>()
  for (const property of members.flatMap((member) => checker.getPropertiesOfType(member))) {
    if (!isForbidden(property)) found.set(property.name, [...found.get(property.name) ?? [], property])
  }
  return Array.from(found, ([name, properties]) => ({
    name,
    isOptional: properties.length < members.length ||
      properties.some((property) => (property.flags & ts.SymbolFlags.Optional) !== 0),
    type: Array.from(new Set(properties.map((property) => typeText(checker, property)))).join(" | "),
    comment: properties.map((property) => context.getComment(property, ReflectionKind.Property)).find((comment) =>
      comment !== undefined
    ),
    isOurs: properties.some(({ declarations = [] }) =>
      declarations.some((declaration) => !declaration.getSourceFile().fileName.includes("/node_modules/"))
    )
  }))
}

const note = (context: Context, reflection: Reflection, typeOf: (symbol: ts.Symbol) => ts.Type) => {
  const symbol = context.getSymbolFromReflection(reflection)
  const options = symbol === undefined ? [] : read(context, typeOf(symbol))
  if (options.length > 0) optionsOf.set(reflection, options)
}

export const prepare = (converter: Converter): void => {
  // A variable is shown as a function where its comment has this tag: here all of those are that can be called.
  const getComment = Context.prototype.getComment
  Context.prototype.getComment = function(symbol, kind) {
    const comment = getComment.call(this, symbol, kind)
    if (kind === ReflectionKind.Variable) comment?.modifierTags.add("@function")
    return comment
  }
  converter.on(Converter.EVENT_CREATE_PARAMETER, (context, parameter) => {
    if (parameter.name !== "options") return
    note(context, parameter, (symbol) => context.checker.getTypeOfSymbol(symbol))
  })
  converter.on(Converter.EVENT_CREATE_DECLARATION, (context, declaration) => {
    if (declaration.kindOf(ReflectionKind.Variable)) declaration.comment?.modifierTags.delete("@function")
    if (!declaration.kindOf(ReflectionKind.TypeAlias) || !declaration.name.endsWith("Options")) return
    note(context, declaration, (symbol) => context.checker.getDeclaredTypeOfSymbol(symbol))
  })
}

/** Whether it is called with its subject first, and also without it, for `pipe`: what the last signature has is all. */
export const isDual = ({ signatures = [] }: DeclarationReflection): boolean => {
  const last = signatures.at(-1)?.parameters ?? []
  return signatures.length > 1 &&
    signatures.slice(0, -1).every(({ parameters = [], type }) =>
      type?.type === "reflection" && parameters.length < last.length &&
      parameters.every(({ name }) => last.some((parameter) => parameter.name === name))
    )
}

const functionsOf = (project: ProjectReflection) =>
  project.getReflectionsByKind(ReflectionKind.Function).filter((reflection) => reflection.isDeclaration())

/**
 * What is said of a function with several signatures stands behind the first of them, or behind all where it is dual, and not
 * above them. The first one also has it then for the list of the module.
 */
export const placeComments = (project: ProjectReflection): void => {
  for (const reflection of functionsOf(project)) {
    const { comment, signatures } = reflection
    if (comment === undefined || signatures === undefined) continue
    for (const signature of isDual(reflection) ? signatures : signatures.slice(0, 1)) signature.comment = comment
    delete reflection.comment
  }
}

/** Services of Effect without a name for what they are: without one their members stand there, of which none is ours to show. */
const services = new Map([["src/socket/SocketServer.ts", "SocketServer[\"Service\"]"]])

/** Calls the services that stand in types by the names by which they are written. */
export const nameServices = (project: ProjectReflection): void => {
  const named = (type: SomeType): SomeType => {
    if (type.type !== "reflection") return type
    const symbol = project.getSymbolIdFromReflection(type.declaration)
    const name = symbol?.packageName === "effect" ? services.get(symbol.packagePath) : undefined
    return name === undefined ? type : ReferenceType.createBrokenReference(name, project, "effect")
  }
  const inArguments = makeRecursiveVisitor({
    reference: (type) => {
      if (type.typeArguments !== undefined) type.typeArguments = type.typeArguments.map(named)
    }
  })
  for (const reflection of Object.values(project.reflections)) {
    if (!(reflection.isDeclaration() || reflection.isParameter() || reflection.isSignature())) continue
    reflection.type?.visit(inArguments)
    if (reflection.type !== undefined) reflection.type = named(reflection.type)
  }
}

/** Options of this project of which nothing is said, where functions show them. */
export const untold = (project: ProjectReflection): ReadonlyArray<string> =>
  functionsOf(project).flatMap((reflection) =>
    (isDual(reflection) ? reflection.signatures!.slice(-1) : reflection.signatures ?? [])
      .flatMap(({ parameters = [] }) => parameters.flatMap((parameter) => optionsOf.get(parameter) ?? []))
      .flatMap(({ comment, isOurs, name }) =>
        isOurs && comment === undefined ? [`${reflection.getFullName()}: ${name}`] : []
      )
  )
