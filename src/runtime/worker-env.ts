/**
 * For the environment of whatever starts threads that load ws. It would load a native addon where one is installed, and an
 * addon that is being loaded when its thread is terminated ends the whole process. What it speeds up is the masking of large
 * frames: ours are small.
 */
export const WITHOUT_ADDON = { WS_NO_BUFFER_UTIL: '1' } as const;
