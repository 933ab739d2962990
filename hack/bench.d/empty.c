/* Nothing, as an ordinary static program: the C library still sets itself up. */
int main(void) { return 0; }
