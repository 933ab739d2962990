/* The limit of every process that is started: one that does nothing. */
int main(void) { return 0; }
