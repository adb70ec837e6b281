/**
 * SASLprep (RFC 4013), the profile of stringprep (RFC 3454) for user names and passwords.
 *
 * Written here because the packages that have it bring a dependency of their own and sets of code points in binary files,
 * for what are 200 lines; and because PostgreSQL's reading of it differs from the RFC's.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Tables from "./saslprepTables.ts"

/** Why a text has no prepared form. It says nothing about the text itself, which may be a password. */
export type Problem = "prohibited" | "unassigned" | "bidirectional" | "marks" | "empty"

/** RFC 4013 2.1. ZERO WIDTH SPACE is in both tables, and a space. */
const map = (text: string): string => {
  let mapped = ""
  for (const char of text) {
    const code = char.codePointAt(0)!
    if (Tables.has(Tables.nonAsciiSpaces, code)) mapped += " "
    else if (!Tables.has(Tables.mappedToNothing, code)) mapped += char
  }
  return mapped
}

const holds = (text: string, table: Tables.Table): boolean => {
  for (const char of text) if (Tables.has(table, char.codePointAt(0)!)) return true
  return false
}

/** RFC 3454 6: what begins from the right must also end so, and have nothing from the left in it. */
const isBidirectional = (text: string): boolean => {
  if (!holds(text, Tables.rightToLeft)) return true
  if (holds(text, Tables.leftToRight)) return false
  const codes = Array.from(text, (char) => char.codePointAt(0)!)
  return Tables.has(Tables.rightToLeft, codes[0]) && Tables.has(Tables.rightToLeft, codes[codes.length - 1])
}

/**
 * How many marks in a row are looked at. Of 30 Unicode says that no language and no notation needs more (UAX 15, 13); with
 * their number the time to put them in order goes up by its square, and a password is anybody's.
 */
const maxMarks = 256

// All that is no starter, in its form of NFKD too.
const marks = /[\p{M}\uff9e\uff9f]+/gu

const hasManyMarks = (text: string): boolean => {
  for (const [run] of text.matchAll(marks)) if (run.length > maxMarks) return true
  return false
}

/**
 * Prepares a text as RFC 4013 tells: as a stored string, or as a query, in which code points that Unicode 3.2 did not know
 * may be.
 */
export const prepare = (text: string, as: "stored" | "query" = "stored"): Result.Result<string, Problem> => {
  const mapped = map(text)
  // To the normalization of Unicode 3.2 what is unassigned is as it is. That of today has made something of it afterwards.
  if (as === "stored" && holds(mapped, Tables.unassigned)) return Result.fail("unassigned")
  if (hasManyMarks(mapped)) return Result.fail("marks")
  const prepared = mapped.normalize("NFKC")
  if (prepared === "") return Result.fail("empty")
  if (holds(prepared, Tables.prohibited)) return Result.fail("prohibited")
  return isBidirectional(prepared) ? Result.succeed(prepared) : Result.fail("bidirectional")
}

/**
 * The password that PostgreSQL computes with, whatever it is given.
 *
 * It looks for what is prohibited before it normalizes and not after, and takes what has no prepared form as it is (its manual, "SASL Authentication"). Whoever does otherwise with such a password computes
 * another key. Only halves of surrogate pairs have no bytes at all.
 */
export const preparePostgres = (text: string): Result.Result<string, Problem> => {
  if (text === "") return Result.fail("empty")
  if (!text.isWellFormed()) return Result.fail("prohibited")
  const mapped = map(text)
  const isPrepared = mapped !== "" && !holds(mapped, Tables.prohibited) && !holds(mapped, Tables.unassigned) &&
    isBidirectional(mapped) && !hasManyMarks(mapped)
  return Result.succeed(isPrepared ? mapped.normalize("NFKC") : text)
}
