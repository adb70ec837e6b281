/**
 * How the command line's own messages look: in lines that fit a terminal, and without the passwords that somebody has put
 * in the wrong place.
 *
 * @internal
 */
import { CliError, CliOutput, TerminalCapabilities } from "effect/cli"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Flags from "./flags.ts"

const width = 100

// oxlint-disable-next-line no-control-regex
const visible = (text: string): number => text.replace(/\u001b\[\d*m/g, "").length

/** A line on several ones, under the column where its description begins. */
const wrap = (line: string): string => {
  if (visible(line) <= width) return line
  const left = /^ *\S.*? {2,}(?=\S)/.exec(line)?.[0] ?? /^ */.exec(line)![0]
  const indent = " ".repeat(visible(left))
  const lines = [left]
  for (const word of line.slice(left.length).split(" ")) {
    const last = lines.length - 1
    const joined = lines[last] + (lines[last].endsWith(" ") ? "" : " ") + word
    if (visible(joined) <= width || lines[last] === indent) lines[last] = joined
    else lines.push(indent + word)
  }
  return lines.join("\n")
}

const wrapped = (text: string): string => text.split("\n").map(wrap).join("\n")

/** What stands where nothing, or something else, was expected: `ann:secret` in it was meant for `--user`. */
const maskedWord = (word: string): string => {
  const masked = Flags.masked(word)
  return masked === word ? word.replace(/^([^:]*):(?!\/\/|\d+$).*/s, "$1:<redacted>") : masked
}

const withoutSecrets = (error: CliError.CliError): CliError.CliError => {
  switch (error._tag) {
    case "InvalidValue":
      return new CliError.InvalidValue({
        ...error,
        value: maskedWord(error.value),
        expected: Flags.masked(error.expected)
      })
    case "UnexpectedArgument":
      return new CliError.UnexpectedArgument({ arguments: error.arguments.map(maskedWord) })
    case "UnknownSubcommand":
      return new CliError.UnknownSubcommand({ ...error, subcommand: maskedWord(error.subcommand) })
    default:
      return error
  }
}

export const layer: Layer.Layer<never> = Layer.effect(
  CliOutput.Formatter,
  Effect.contextWith((context: Context.Context<never>) => {
    const { canColor } = Context.get(context, TerminalCapabilities.TerminalCapabilities)
    const formatter = CliOutput.defaultFormatter({ colors: canColor, globalFlags: "summary" })
    return Effect.succeed<CliOutput.Formatter>({
      ...formatter,
      formatHelpDoc: (doc) => wrapped(formatter.formatHelpDoc(doc)),
      formatCliError: (error) => formatter.formatCliError(withoutSecrets(error)),
      formatError: (error) => formatter.formatError(withoutSecrets(error)),
      formatErrors: (errors) => formatter.formatErrors(errors.map(withoutSecrets))
    })
  })
)
