/**
 * The laws of PostgreSQL's start-up by `trust`, on every rung: it is the one that is over soonest.
 */
import { rungs } from "../../../support/rungs.ts"
import { laws } from "./laws.ts"

laws({ method: "trust", version: "3.0", rungs })
